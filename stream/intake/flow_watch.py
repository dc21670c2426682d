"""Watches an exam's colours: what holds still while the tissue below it moves was drawn."""

from collections.abc import Sequence

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Pixels
from neurosono.stream.pictures.colour import Coloured, find_coloured
from neurosono.stream.pictures.flow import Box, shows_flow

SAME_LEVELS = 12
"""Levels by which a drawn colour, less what lies below it, changes from frame to frame: codecs
leave it within 6 as a rule. Flow changes by its beat and its grain."""
DRAWN_FRAMES = 15
"""Sampled frames of moving tissue through which a colour stays what it was until it is drawn: 0.6 s
at 25 Hz, more than a fetal heart's beat."""
MOST_FRAMES = 255


class FlowWatch:
    """Says of each sampled frame whether Doppler is laid over it."""

    def __init__(self) -> None:
        self._blue = self._red = np.zeros((0, 0), dtype=np.int16)
        self._age = np.zeros((0, 0), dtype=np.uint8)

    def forget(self) -> None:
        """Begin anew: what comes is another clip."""
        self._age = np.zeros((0, 0), dtype=np.uint8)

    def sees_flow(self, pixels: Pixels, text: Sequence[Box], moved: bool) -> bool:
        """Whether a frame carries flow colours; `moved` says whether the tissue moved since.

        `pixels` is `(h, w)` grey or `(h, w, 3)` BGR, uint8, with nothing blanked; `text` are the
        boxes `x, y, w, h` where letters were found.
        """
        seen = find_coloured(pixels)
        if seen is None:
            self.forget()
            return False
        drawn = self._follow(seen, moved)
        return shows_flow(seen, seen.mask & ~drawn, text)

    def _follow(self, seen: Coloured, moved: bool) -> Flags:
        """Take a frame's colours; return where they were drawn."""
        if self._age.shape != seen.mask.shape:
            self._blue, self._red = seen.blue, seen.red
            self._age = np.zeros(seen.mask.shape, dtype=np.uint8)
            return np.zeros(seen.mask.shape, dtype=np.bool_)
        blue, red = np.abs(seen.blue - self._blue), np.abs(seen.red - self._red)
        same = np.maximum(blue, red) <= SAME_LEVELS
        self._blue = np.where(same, self._blue, seen.blue)
        self._red = np.where(same, self._red, seen.red)
        older = np.minimum(self._age, MOST_FRAMES - 1) + np.uint8(moved)
        self._age = np.where(same, older, 0).astype(np.uint8)
        return self._age >= DRAWN_FRAMES
