"""What a header says lies beside the picture to judge: traces, spectra, a second picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from neurosono.stream.sources.clip import Region
from neurosono.stream.sources.left_out import Reason

TWO_DIMENSIONAL, COLOUR_FLOW = 1, 2
"""RegionSpatialFormat, and RegionDataType, of which 1 is tissue (DICOM PS3.3, C.8.5.5.1)."""
WITHIN = 0.5
"""A region of which so much lies within the picture is an overlay on it, and not beside it."""


@dataclass(frozen=True)
class Beside:
    """Of a picture with several regions: the one to judge, those beside it, and what they are.

    `picture` is None where the header names none; what it does not name stays to be looked at.
    """

    picture: Region | None = None
    regions: tuple[Region, ...] = ()
    left_out: tuple[Reason, ...] = ()

    def cover(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture with what lies beside it black; `(H, W)` or `(H, W, 3)`."""
        if not self.regions:
            return pixels
        covered = pixels.copy()
        for x, y, width, height in self.regions:
            covered[y : y + height, x : x + width] = 0
        if self.picture is None:
            return covered
        x, y, width, height = self.picture
        inside = np.s_[y : y + height, x : x + width]
        covered[inside] = pixels[inside]
        return covered


def find_beside(items: list[tuple[Region, Dataset]]) -> Beside:
    """Choose among the regions of a header, each with its item.

    The largest picture of tissue is judged; of equal ones the first.
    """
    pictures = [each for each in items if is_picture(each[1])]
    tissue = [each for each in pictures if each[1].get("RegionDataType") != COLOUR_FLOW]
    area = [region[2] * region[3] for region, _ in tissue or pictures]
    picture = (tissue or pictures)[area.index(max(area))][0] if area else None
    beside = [each for each in items if picture is None or _share_within(each[0], picture) < WITHIN]
    reasons = [Reason.SECOND_PICTURE if is_picture(item) else Reason.TRACE for _, item in beside]
    return Beside(picture, tuple(region for region, _ in beside), tuple(reasons))


def is_picture(item: Dataset) -> bool:
    """Whether a region is two-dimensional; what does not say so is taken for it."""
    return bool(item.get("RegionSpatialFormat", TWO_DIMENSIONAL) == TWO_DIMENSIONAL)


def _share_within(region: Region, picture: Region) -> float:
    (x, y, width, height), (left, top, across, down) = region, picture
    common_x = min(x + width, left + across) - max(x, left)
    common_y = min(y + height, top + down) - max(y, top)
    return max(0, common_x) * max(0, common_y) / (width * height)
