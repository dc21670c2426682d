"""What each coloured piece of a picture looks like: how thick, and of how many colours.

Writing is thin, or flat: its colour lies on one ray from grey, whatever a codec or the tissue
below does to it. Flow fills areas, and its colour changes with its speed.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Flags, Floats, Integers, Singles
from neurosono.stream.pictures.colour import Coloured

Box = tuple[int, int, int, int]

HUES_DEG = ((-70, 60), (-180, -70), (60, 140), (140, 181))
"""Sectors of blue over red, both above green: red and orange, yellow and green, blue, cyan. A piece
is of one of them, so that a red word on a blue ellipse is two."""
CORE_PX, DEEP_PX, THICK_PX = 1.5, 3.0, 5.0
"""Distances from a piece's edge: its core is clear of mixed edges, its depths of blurred colour."""
FEWEST_CORE = 6
"""Pixels: with fewer in the core, the whole piece counts."""
CELL_LEVELS, CELL_GREY = 16, 24
"""Levels of one colour, and of its brightness: closer ones are counted as the same."""
SMALLEST_PX = 4
"""Of a piece: less is a speck of noise."""

FEATURES = (
    "size", "core", "deep", "thick", "depth", "across", "along", "along_core", "grey_core",
    "grey", "fill", "written", "cos", "sin", "cos_2", "sin_2", "strength", "across_all",
    "across_all_share", "thin", "across_share", "colours_core", "colours", "shades_core",
)  # fmt: skip


def describe_pieces(
    seen: Coloured, mask: Flags, written: Flags
) -> tuple[Floats, Floats, NDArray[np.int32]]:
    """Return the pieces of a mask: their `FEATURES`, `(n, 24)`, their pixels, and where they are.

    `written` is where letters were found. The last is `(h, w)`: 0, or 1 + the piece's number.
    """
    rows, sizes = [np.zeros((0, len(FEATURES)))], [np.zeros(0)]
    places = np.zeros(mask.shape, dtype=np.int32)
    hue = np.asarray(cv2.phase(seen.red.astype(np.float32), seen.blue.astype(np.float32),
                               angleInDegrees=True))  # fmt: skip
    hue = np.where(hue > 180, hue - 360, hue)
    count = 0
    for low, high in HUES_DEG:
        part = (mask & (hue >= low) & (hue < high)).astype(np.uint8)
        if cv2.countNonZero(part) < SMALLEST_PX:
            continue
        _, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
        within = part > 0
        big = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_PX
        big[0] = False
        number = np.where(big, np.cumsum(big) - 1, -1)
        within &= big[labels]
        if not within.any():
            continue
        away = np.asarray(cv2.distanceTransform(part, cv2.DIST_L2, 3))
        box = stats[big, cv2.CC_STAT_WIDTH] * stats[big, cv2.CC_STAT_HEIGHT]
        mine = number[labels[within]]
        rows.append(_describe(seen, within, mine, away[within], box, written[within]))
        sizes.append(stats[big, cv2.CC_STAT_AREA].astype(np.float64))
        places[within] = mine + 1 + count
        count += int(np.count_nonzero(big))
    return np.concatenate(rows), np.concatenate(sizes), places


def _describe(
    seen: Coloured,
    within: Flags,
    mine: Integers,
    away: Singles,
    box: NDArray[np.int32],
    written: Flags,
) -> Floats:
    """Return the features of each piece; the arrays but `box` have a value a pixel of them all."""
    count = len(box)
    n = np.bincount(mine, minlength=count).astype(np.float64)
    colour = _Colours(seen, within, mine, count)
    core = _prefer(away > CORE_PX, np.ones(len(mine), np.bool_), mine, count)
    deep = _prefer(away > DEEP_PX - 0.5, core, mine, count)
    thin = np.bincount(mine, away > DEEP_PX - 0.5, count) < FEWEST_CORE
    inner, inmost, whole = (colour.spread(each) for each in (core, deep, core | True))
    strength = np.maximum(inner.strength, 1.0)
    many = [np.bincount(mine, away > px, count) for px in (CORE_PX, DEEP_PX, THICK_PX)]
    hue = inner.hue_rad
    columns = (
        np.log(n), many[0] / n, many[1] / n, many[2] / n, np.log1p(many[1]),
        inner.across, inner.along / strength, inmost.along / strength, inmost.grey, whole.grey,
        n / box, np.bincount(mine, written, count) / n,
        np.cos(hue), np.sin(hue), np.cos(2 * hue), np.sin(2 * hue),
        strength, whole.across, whole.across / strength, thin, inner.across / strength,
        np.log(colour.count(core, False)), np.log(colour.count(core | True, False)),
        np.log(colour.count(core, True)),
    )  # fmt: skip
    return np.stack(columns, axis=1)


def _prefer(some: Flags, other: Flags, mine: Integers, count: int) -> Flags:
    """Return `some` pixels of each piece, or where it has too few of them the `other`."""
    few = np.bincount(mine, some, count) < FEWEST_CORE
    return np.where(few[mine], other, some)


class _Spread:
    """How the colours of each piece lie: the ray of their mean, and how far from it and along."""

    def __init__(self, mean: Floats, square: Floats, grey: Floats) -> None:
        """`mean` is blue, red; `square` blue's, red's, and their product; `grey` the deviation."""
        blue, red = mean
        self.strength = np.hypot(blue, red)
        self.hue_rad = np.arctan2(blue, red)
        b, r = np.sin(self.hue_rad), np.cos(self.hue_rad)
        bb, rr, br = square
        self.across = np.sqrt(np.maximum(bb * r**2 + rr * b**2 - 2 * br * b * r, 0))
        on = bb * b**2 + rr * r**2 + 2 * br * b * r
        self.along = np.sqrt(np.maximum(on - self.strength**2, 0))
        self.grey = grey


class _Colours:
    """The colours of all pixels of some pieces."""

    def __init__(self, seen: Coloured, within: Flags, mine: Integers, count: int) -> None:
        self._blue = seen.blue[within].astype(np.float64)
        self._red = seen.red[within].astype(np.float64)
        self._grey = seen.grey[within].astype(np.float64)
        self._mine, self._count = mine, count

    def spread(self, taken: Flags) -> _Spread:
        """Return how the colours of the pixels that are taken lie, piece by piece."""
        b, r, y = self._blue, self._red, self._grey
        total = np.maximum(np.bincount(self._mine, taken, self._count), 1)

        def mean(values: Floats) -> Floats:
            return np.asarray(np.bincount(self._mine, values * taken, self._count) / total)

        grey = np.sqrt(np.maximum(mean(y * y) - mean(y) ** 2, 0))
        return _Spread(
            np.stack([mean(b), mean(r)]), np.stack([mean(b * b), mean(r * r), mean(b * r)]), grey
        )

    def count(self, taken: Flags, with_grey: bool) -> Floats:
        """Return of how many colours each piece is, as if all were equally common."""
        cell = ((self._blue[taken] + 512) // CELL_LEVELS).astype(np.int64) * 64
        cell += ((self._red[taken] + 512) // CELL_LEVELS).astype(np.int64)
        if with_grey:
            cell = cell * 16 + (self._grey[taken] // CELL_GREY).astype(np.int64)
        key, times = np.unique(self._mine[taken] * (1 << 18) + cell, return_counts=True)
        piece = key >> 18
        total = np.bincount(piece, times, self._count)
        squares = np.bincount(piece, times.astype(np.float64) ** 2, self._count)
        return np.maximum(total**2 / np.maximum(squares, 1), 1)
