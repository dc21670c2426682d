"""Whether the scanner's layout is still the one that the region was found on, cheaply."""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.pictures.region import Region

CELLS_PX = 96
"""Longer side of the signature, in cells."""
SAMPLES = 3
"""Pixels of the screen, along each side of a cell, that the cell is the mean of: every third of
800 x 600. Whole blocks of them, for OpenCV averages these twenty times faster than others."""
CHANGED_LEVEL = 24
"""Grey levels by which a cell must differ to have changed: text that comes or goes."""
CHANGED_SHARE = 0.02
"""Of all cells: a clock, a trace or a cursor changes fewer outside the region."""
SAME_OVERLAP = 0.9
"""Intersection over union from which two regions, found apart, are one."""
BEYOND_SHARE = 0.05
"""Of a region found anew: with more of it outside the known one, the picture has moved."""


class LayoutCheck:
    """Compares what lies outside the region with what lay there when the region was found."""

    def __init__(self, region: Region, pixels: Pixels) -> None:
        height, width = pixels.shape[:2]
        scale = CELLS_PX / max(height, width)
        self._size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._mask = region.screen_mask(height, width)
        inside = cv2.resize(self._mask, self._size, interpolation=cv2.INTER_AREA)
        self._outside = np.where(np.asarray(inside) == 0, 255, 0).astype(np.uint8)
        self._signature = self._sign(pixels)

    def _sign(self, pixels: Pixels) -> Pixels:
        """Shrink the green channel, or the only one, to the cells."""
        size = SAMPLES * self._size[0], SAMPLES * self._size[1]
        few = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        few = np.ascontiguousarray(few if few.ndim == 2 else few[..., 1])
        return np.asarray(cv2.resize(few, self._size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def has_changed(self, pixels: Pixels) -> bool:
        """Whether enough changed outside the region for a closer look; sizes must agree."""
        difference = cv2.absdiff(self._sign(pixels), self._signature)
        changed = cv2.threshold(difference, CHANGED_LEVEL, 255, cv2.THRESH_BINARY)[1]
        outside = cv2.countNonZero(cv2.bitwise_and(changed, self._outside))
        return outside > CHANGED_SHARE * self._outside.size

    def learn(self, pixels: Pixels) -> None:
        """Take what lies outside the region now as what belongs there."""
        self._signature = self._sign(pixels)

    def holds(self, found: Region | None) -> bool:
        """Whether a region found anew lies in the known one: nothing moved, some may be dark."""
        if found is None:
            return False
        new = found.screen_mask(*self._mask.shape)
        beyond = int(np.count_nonzero(cv2.bitwise_and(new, cv2.bitwise_not(self._mask))))
        return beyond <= BEYOND_SHARE * max(1, int(np.count_nonzero(new)))


def is_same_place(one: Region, other: Region, shape: tuple[int, ...]) -> bool:
    """Whether two regions of a screen of this shape are one, give or take a few pixels.

    What is written on them makes no difference.
    """
    a, b = (each.bare.screen_mask(shape[0], shape[1]) for each in (one, other))
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) > SAME_OVERLAP * union
