"""The newest pictures, remembered once for all who need one again, each with its own heatmap."""

from collections import deque

import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.result import Result

KEPT_NS = 1_000_000_000
"""What a person sees and keeps was shown up to a second ago; an answer comes sooner, or is late."""

MOST = 64
"""Pictures, however fast they come: that second at 60 Hz."""

MAX_PINNED = 16
"""Frozen screens at once; the hub takes no more viewers."""


class Recent:
    """Remembers pictures for a second, and those that somebody froze for as long as they stand."""

    def __init__(self, most: int = MOST) -> None:
        self._shown: deque[DisplayFrame] = deque(maxlen=most)
        self._heatmaps: dict[int, Singles] = {}
        self._pinned: dict[int, DisplayFrame] = {}

    def see(self, picture: DisplayFrame) -> None:
        """Remember the picture that is shown now."""
        self._shown.append(picture)
        while picture.captured_ns - self._shown[0].captured_ns > KEPT_NS:
            self._shown.popleft()

    def hear(self, result: Result) -> Singles | None:
        """Remember a frame's heatmap, `(h, w)`, of the class that it speaks for; returns it.

        None where there is none. It may come before its picture.
        """
        if result.cam is None or result.probabilities is None:
            return None
        heatmap: Singles = result.cam[int(np.argmax(result.probabilities))]
        self._heatmaps[result.seq] = heatmap
        while len(self._heatmaps) > MOST:
            self._heatmaps.pop(next(iter(self._heatmaps)))
        return heatmap

    def find(self, index: int) -> DisplayFrame | None:
        """Return the picture with this `index`, if it is remembered or frozen."""
        known = (*reversed(self._shown), *self._pinned.values())
        return next((each for each in known if each.index == index), None)

    def picture_of(self, seq: int) -> DisplayFrame | None:
        """Return the sampled picture `seq`, if it is remembered."""
        return next((each for each in reversed(self._shown) if each.seq == seq), None)

    def region_of(self, seq: int) -> Pixels | None:
        """Return the region of the sampled picture `seq`, if it is remembered."""
        picture = self.picture_of(seq)
        return None if picture is None else picture.region

    def heatmap_of(self, seq: int) -> Singles | None:
        """Return the heatmap of the frame `seq`, if one was made and is remembered."""
        return self._heatmaps.get(seq)

    def pin(self, viewer: int, index: int | None) -> None:
        """Hold the picture that a viewer froze, instead of the one that it had frozen before."""
        self._pinned.pop(viewer, None)
        picture = None if index is None else self.find(index)
        if picture is not None and len(self._pinned) < MAX_PINNED:
            self._pinned[viewer] = picture
