"""Whether the scanner's layout is still the one that the region was found on, cheaply."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.preprocess import to_grey
from stream.region import Region

CELLS_PX = 96
"""Longer side of the signature, in cells."""
CHANGED_LEVEL = 24
"""Grey levels by which a cell must differ to have changed: text that comes or goes, not a clock."""
CHANGED_SHARE = 0.02
"""Of all cells: more changed outside the region than this is looked into."""


class LayoutCheck:
    """Compares what lies outside the region with what lay there when the region was found."""

    def __init__(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        height, width = pixels.shape[:2]
        scale = CELLS_PX / max(height, width)
        self._size = (max(1, round(width * scale)), max(1, round(height * scale)))
        mask = region.screen_mask(height, width)
        inside = cv2.resize(mask, self._size, interpolation=cv2.INTER_AREA)
        self._region = region
        self._outside = np.asarray(inside, dtype=np.uint8) == 0
        self._signature = self._sign(pixels)

    def _sign(self, pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
        small = cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA)
        return to_grey(np.asarray(small, dtype=np.uint8)).astype(np.int16)

    def has_changed(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether enough changed outside the region for a closer look; shapes must agree."""
        changed = np.abs(self._sign(pixels) - self._signature) > CHANGED_LEVEL
        return bool(np.count_nonzero(changed & self._outside) > CHANGED_SHARE * changed.size)

    def is_same(self, found: Region | None, pixels: NDArray[np.uint8]) -> bool:
        """Whether a region found anew is the known one; if so, the new surroundings are learnt."""
        if found is None:
            return False
        height, width = pixels.shape[:2]
        new, old = found.screen_mask(height, width), self._region.screen_mask(height, width)
        beyond = np.count_nonzero(new & ~old) / max(1, np.count_nonzero(new))
        if beyond > 0.05:
            return False
        self._signature = self._sign(pixels)
        return True
