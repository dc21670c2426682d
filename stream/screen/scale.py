"""Follows the ruler on the scanner's screen: what a pixel is in millimetres, as long as it stands.

It is read from whole screens, before they are cut. A wrong scale is worse than none: where the
ruler's column changes, as it does with the depth, the scale is not known until it was read again.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags, Pixels, Singles
from neurosono.engine.preprocess import to_grey
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.screen.aside import Aside
from neurosono.stream.screen.ruler import Ruler, read_ruler

READ_EVERY = 50
"""Pictures between two readings: two seconds at 25 Hz. What changes is seen at once."""
READ_AGAIN = 15
"""The same while there is none, or it has just changed."""
REACH_PX = 3
"""To each side of the edge that the ticks share: there every tick stands, and little else."""
LIFTED_LEVEL = 60
"""Grey levels by which a tick is brighter than its ground, as for `read_ruler`."""
DARKER = 0.6
"""A tick's pixel is gone where less than this share of its level is left."""
STANDING = 0.7
"""Least share of the ticks' pixels that must be left: after a change of depth a fifth are."""


@dataclass(frozen=True, eq=False)
class _Read:
    """A reading, and where ticks stood in the picture that was read, and how bright."""

    ruler: Ruler
    ticks: Flags
    levels: Singles

    def stands(self, grey: Pixels) -> bool:
        """Whether the ticks still stand where they did."""
        now = _column(grey, self.ruler)[self.ticks]
        return bool((now >= DARKER * self.levels).mean() >= STANDING)


def _read(grey: Pixels) -> _Read | None:
    ruler = read_ruler(grey)
    if ruler is None:
        return None
    column = _column(grey, ruler)
    thick = max(5, round(grey.shape[0] / 90)) | 1
    lifted = cv2.morphologyEx(column, cv2.MORPH_TOPHAT, np.ones((thick, 1), np.uint8))
    ticks = lifted > LIFTED_LEVEL
    if not ticks.any():
        return None
    return _Read(ruler, ticks, column[ticks].astype(np.float32))


def _column(grey: Pixels, ruler: Ruler) -> Pixels:
    x = round(ruler.x_px)
    return grey[:, max(0, x - REACH_PX) : x + REACH_PX + 1]


class ScaleWatch:
    """Says of each picture, in order, what the ruler on it says."""

    def __init__(self, *, realtime: bool = False) -> None:
        """`realtime` tells whether age counts, as in `Aside`."""
        self._known: _Read | None = None
        self._layout: tuple[int, tuple[int, ...]] | None = None
        self._count = 0
        self._aside: Aside[_Found] = Aside(realtime)

    def see(self, picture: Picture) -> float | None:
        """Return millimetres per pixel; None where no ruler is known to stand on this picture."""
        grey = to_grey(picture.decoded)
        layout = (picture.clip, grey.shape)
        if layout != self._layout:
            self._layout, self._count = layout, 0
            self._aside.drop()
            self._known = _read(grey)  # a still has no later picture in which the answer could come
        elif (found := self._aside.take()) is not None:
            self._known = found.read
        if self._known is not None and not self._known.stands(grey):
            self._known, self._count = None, 0
            self._begin(grey)
        self._count += 1
        if self._count % (READ_AGAIN if self._known is None else READ_EVERY) == 0:
            self._begin(grey)
        return None if self._known is None else self._known.ruler.mm_per_px

    def _begin(self, grey: Pixels) -> None:
        self._aside.begin(lambda: _Found(_read(grey)))


@dataclass(frozen=True, eq=False)
class _Found:
    """What a reading beside the pictures came to: a ruler, or none."""

    read: _Read | None
