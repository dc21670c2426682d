"""Follows the ruler on the scanner's screen: what a pixel is in millimetres, as long as it stands.

It is read from whole screens, before they are cut. A wrong scale is worse than none: where the
ruler's column changes, as it does with the depth, the scale is not known until it was read again.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.preprocess import to_grey
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.screen.aside import Aside
from neurosono.stream.screen.ruler import Ruler, read_ruler

READ_EVERY = 50
"""Pictures between two readings: two seconds at 25 Hz. What changes is seen at once."""
READ_AGAIN = 15
"""The same while there is none, or it has just changed."""
REACH_PX = 24
"""To each side of the ticks' edge: what of the screen must stay as it is."""
CHANGED_LEVEL = 40
"""Grey levels by which a pixel has changed: a tick is far brighter than its ground."""
CHANGED_SHARE = 0.004
"""Of the column's pixels: a moved tick changes as many, compression's noise does not."""


@dataclass(frozen=True, eq=False)
class _Read:
    """A reading, and how the ruler's column looked in the picture that was read."""

    ruler: Ruler | None
    column: NDArray[np.uint8] | None


def _read(grey: NDArray[np.uint8]) -> _Read:
    ruler = read_ruler(grey)
    return _Read(ruler, None if ruler is None else _column(grey, ruler).copy())


def _column(grey: NDArray[np.uint8], ruler: Ruler) -> NDArray[np.uint8]:
    x = round(ruler.x_px)
    return grey[:, max(0, x - REACH_PX) : x + REACH_PX]


class ScaleWatch:
    """Says of each picture, in order, what the ruler on it says."""

    def __init__(self, *, realtime: bool = False) -> None:
        """`realtime` tells whether age counts, as in `Aside`."""
        self._known: _Read | None = None
        self._layout: tuple[int, tuple[int, ...]] | None = None
        self._count = 0
        self._aside: Aside[_Read] = Aside(realtime)

    def see(self, picture: Picture) -> float | None:
        """Return millimetres per pixel; None where no ruler is known to stand on this picture."""
        grey = to_grey(picture.decoded)
        layout = (picture.clip, grey.shape)
        if layout != self._layout:
            self._layout, self._count = layout, 0
            self._aside.drop()
            self._known = _read(grey)  # a still has no later picture in which the answer could come
        elif (found := self._aside.take()) is not None:
            self._known = found
        if self._has_changed(grey):
            self._known, self._count = None, 0
            self._aside.begin(partial(_read, grey))
        self._count += 1
        known = self._known is not None and self._known.ruler is not None
        if self._count % (READ_EVERY if known else READ_AGAIN) == 0:
            self._aside.begin(partial(_read, grey))
        if self._known is None or self._known.ruler is None:
            return None
        return self._known.ruler.mm_per_px

    def _has_changed(self, grey: NDArray[np.uint8]) -> bool:
        if self._known is None or self._known.ruler is None or self._known.column is None:
            return False
        now = _column(grey, self._known.ruler).astype(np.int16)
        changed = np.abs(now - self._known.column) > CHANGED_LEVEL
        return bool(changed.mean() > CHANGED_SHARE)
