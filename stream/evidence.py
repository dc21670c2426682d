"""Which sampled frames may add evidence to the exam, and why the others may not."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.contracts.frame import SkipReason

FROZEN_LEVEL = 0.6
DUPLICATE_LEVEL = 1.2


class EvidenceGate:
    """Judges sampled frames in order; remembers the one before and the last one used."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._used: NDArray[np.uint8] | None = None
        self._clip: int | None = None

    def judge(
        self, pixels: NDArray[np.uint8], grey: NDArray[np.uint8], clip: int
    ) -> SkipReason | None:
        """Return why this frame adds no evidence, or None where it does.

        `pixels` is the region at full resolution, `(h, w)` grey or `(h, w, 3)` BGR; `grey` the
        network's square; `clip` the clip it came from.
        """
        before, self._before = self._before, grey
        if before is not None and self._clip == clip and distance(grey, before) < FROZEN_LEVEL:
            return SkipReason.FROZEN
        self._clip = clip
        if self._used is not None and distance(grey, self._used) < DUPLICATE_LEVEL:
            return SkipReason.NEAR_DUPLICATE
        self._used = grey
        return None


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference of two squares, grey levels."""
    return float(np.mean(cv2.absdiff(one, other)))
