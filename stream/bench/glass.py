"""Glass to glass: a number drawn into every picture of the source, read back from what is shown.

The number is a row of blocks inside the ultrasound region, so that it goes through all that anatomy
goes through: codec, screen, crop, wire, overlay or page. What is read back is what an eye sees.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels

BITS = 14
"""Numbers below 16384: nine minutes at 30 Hz, after which they begin anew."""
COUNT = 1 << BITS

BLOCK_PX = 12
"""A block covers more than two 4x4 transforms of H.264 either way, so it survives any quality."""

_GUARD = (True, False, True)
"""Known blocks at either end: a row without them is no number."""

_BLOCKS = len(_GUARD) * 2 + BITS
ROW_PX = (BLOCK_PX, _BLOCKS * BLOCK_PX)
"""Height and width of the row."""

DARK_LEVEL, LIGHT_LEVEL = 72, 124
"""Grey levels of tissue and brighter tissue, not of letters: the screen takes letters out of a
region, and takes blocks of 24 and 150 for some."""

_MIN_CONTRAST = 25.0
"""Levels between dark and light guards from which a row is a number."""

_SOFT_PX = 2.2
"""Blur of the blocks' edges, so that they are no drawn lines either."""

_LIKENESS = 0.8
"""Correlation with the expected row from which a place is taken for it."""


@lru_cache(maxsize=64)
def paint_row(number: int) -> Pixels:
    """Return the row that says `number` (modulo `COUNT`): `ROW_PX` uint8 grey."""
    bits = _bits_of(number)
    levels = np.where([*_GUARD, *bits, *_GUARD], LIGHT_LEVEL, DARK_LEVEL).astype(np.uint8)
    row = np.repeat(np.repeat(levels, BLOCK_PX)[None], BLOCK_PX, axis=0)
    return np.asarray(cv2.GaussianBlur(row, (0, 0), _SOFT_PX), dtype=np.uint8)


def draw_number(pixels: Pixels, number: int, at: tuple[int, int]) -> None:
    """Draw `number` into a picture, `(H, W)` or `(H, W, 3)` uint8, its corner at `at` (x, y)."""
    x, y = at
    row = paint_row(number % COUNT)
    spot = pixels[y : y + ROW_PX[0], x : x + ROW_PX[1]]
    spot[:] = row if pixels.ndim == 2 else row[..., None]


def find_row(pixels: Pixels, number: int) -> tuple[int, int] | None:
    """Return where `number` stands in a picture, as x and y of its corner; None where nowhere."""
    grey = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 1])
    if grey.shape[0] < ROW_PX[0] or grey.shape[1] < ROW_PX[1]:
        return None
    likeness = cv2.matchTemplate(grey, paint_row(number % COUNT), cv2.TM_CCOEFF_NORMED)
    _, best, _, where = cv2.minMaxLoc(likeness)
    return (int(where[0]), int(where[1])) if best >= _LIKENESS else None


def read_number(pixels: Pixels, at: tuple[int, int]) -> int | None:
    """Read the number whose corner is at `at` (x, y); None where there is none."""
    x, y = at
    inner = pixels[y + BLOCK_PX // 3 : y + BLOCK_PX - BLOCK_PX // 3, x : x + ROW_PX[1]]
    if inner.shape[1] < ROW_PX[1]:
        return None
    levels = inner if inner.ndim == 2 else inner[..., 1]
    blocks = levels.reshape(len(levels), _BLOCKS, BLOCK_PX)[:, :, BLOCK_PX // 3 : -BLOCK_PX // 3]
    means = blocks.mean(axis=(0, 2))
    guards = np.concatenate([means[: len(_GUARD)], means[-len(_GUARD) :]])
    light = np.array(_GUARD * 2)
    darkest_light, lightest_dark = guards[light].min(), guards[~light].max()
    if darkest_light - lightest_dark < _MIN_CONTRAST:
        return None
    bits = means[len(_GUARD) : -len(_GUARD)] > (darkest_light + lightest_dark) / 2
    return int(np.packbits(np.concatenate([np.zeros(16 - BITS, dtype=bool), bits])).view(">u2")[0])


def _bits_of(number: int) -> list[bool]:
    return [bool(number >> place & 1) for place in reversed(range(BITS))]


@dataclass
class GlassLog:
    """What was read from finished canvases, in the order in which they were shown.

    `period` is after how many pictures the source's numbers begin anew.
    """

    period: int
    shown: int = 0
    unreadable: int = 0
    wrong: int = 0
    repeated: int = 0
    backwards: int = 0
    _last: int | None = None
    _at: tuple[int, int] | None = None

    def look(self, canvas: Pixels, index: int) -> int | None:
        """Read the canvas that shows picture `index` of the source; returns that index from pixels.

        None where no number can be read. The row is searched for until it was found once, and again
        where it is no longer readable.
        """
        self.shown += 1
        number = None if self._at is None else read_number(canvas, self._at)
        if number is None:
            self._at = find_row(canvas, index % self.period)
            number = None if self._at is None else read_number(canvas, self._at)
        if number is None:
            self.unreadable += 1
            return None
        seen = index - (index - number) % self.period  # the latest picture that carries it
        self.wrong += seen != index
        if self._last is not None:
            self.repeated += seen == self._last
            self.backwards += seen < self._last
        self._last = seen
        return seen

    def describe(self) -> dict[str, int]:
        """Return the counts; all but `shown` are 0 where every picture came once and in order."""
        return {
            "shown": self.shown,
            "unreadable": self.unreadable,
            "not_the_picture_it_claims": self.wrong,
            "shown_twice": self.repeated,
            "out_of_order": self.backwards,
        }
