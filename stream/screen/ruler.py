"""The depth ruler beside the picture: its ticks read as millimetres per pixel, or not at all.

A ruler is a column of short bright ticks at one distance. What one step means is told by their
lengths: short at 5 mm, longer at 10 mm, longest at 50 mm, as Voluson scanners and many others draw
them. Where the lengths do not say so, or ticks are too few or stray, nothing is read: a wrong scale
is worse than none. It is read before the screen is cut, and only along its height.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers, Pixels

STEP_MM = 5.0
LONG_EVERY = 10
"""Steps from one longest tick to the next: 50 mm."""

_STRIP = 0.16
"""Share of the width, at each side, in which a ruler is looked for."""
_FEWEST_TICKS = 8
_PRESENT = 0.8
"""Least share of the ticks between the first and the last that must be there."""
_STRAY = 0.25
"""Most strokes of the column, as a share of its ticks, that may stand off the steps."""
_OFF_PX = 1.5
"""How far a tick may lie off its place, and the ticks on average half as far."""
_SHORTEST_STEP_PX = 8.0
_LEAST_ASPECT = 1.2
"""A scanner's screen is wider than high. A picture that is not may have been squeezed to a square,
as collections are: its ruler still tells the height's scale, a width measured by it is wrong."""
_DEPTH_MM = (30.0, 400.0)
"""What the height of a picture can show, from a shallow small-parts probe to the deepest."""


@dataclass(frozen=True)
class Ruler:
    """A ruler that was read: `mm_per_px` along the height, where it stands, how it was sure."""

    mm_per_px: float
    x_px: float
    ticks: int
    long_ticks: int


@dataclass(frozen=True)
class _Ticks:
    """Strokes that stand in one column: their middles' heights and their widths, top down."""

    x: float
    y: Floats
    width: Floats


def read_ruler(grey: Pixels) -> Ruler | None:
    """Return the scale that a ruler on the screen (H, W) uint8 shows; None where none is sure.

    None, too, where two columns are sure of different scales, and where the picture is no wider
    than a squeezed one.
    """
    if grey.shape[1] < _LEAST_ASPECT * grey.shape[0]:
        return None
    found = [ruler for column in _columns(grey) if (ruler := _read_column(column, grey.shape[0]))]
    if not found:
        return None
    best = max(found, key=lambda each: each.ticks)
    agree = all(abs(each.mm_per_px / best.mm_per_px - 1) < 0.03 for each in found)
    return best if agree else None


def _columns(grey: Pixels) -> Iterator[_Ticks]:
    """Yield the strokes of each side's strip, by the left or right edge that they share."""
    height, width = grey.shape
    reach = max(8, round(_STRIP * width))
    for start in (0, width - reach):
        strokes = _find_strokes(grey[:, start : start + reach], height)
        for edge in (0, 1):
            yield from _group(strokes, edge, start)


def _find_strokes(strip: Pixels, height: int) -> Integers:
    """Return left, right, top, bottom (n, 4) of small bright marks on darker ground."""
    thick = max(5, round(height / 90)) | 1
    kernel = np.ones((thick, 1), np.uint8)
    lifted = cv2.morphologyEx(strip, cv2.MORPH_TOPHAT, kernel)
    marks = (lifted > 60).astype(np.uint8)
    count, _, boxes, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    x, y, w, h = boxes[1:count, :4].T.astype(np.int64)
    tall, wide = max(3, round(height / 130)), max(12, round(height / 28))
    small = (h <= tall) & (w <= wide) & (w >= 1)
    found: Integers = np.stack([x, x + w, y, y + h], axis=1)[small]
    return found


def _group(strokes: Integers, edge: int, start: int) -> Iterator[_Ticks]:
    """Yield the columns of strokes whose left (0) or right (1) edges lie within a pixel or so."""
    counts = np.bincount(strokes[:, edge] + 1, minlength=2)
    about = np.convolve(counts, np.ones(3, dtype=counts.dtype))[1:-1]
    for at in np.flatnonzero((counts > 0) & (about >= _FEWEST_TICKS)) - 1:
        near = strokes[np.abs(strokes[:, edge] - at) <= 1]
        near = near[np.argsort(near[:, 2], kind="stable")]
        middle = (near[:, 2] + near[:, 3] - 1) / 2
        yield _Ticks(float(at + start), middle, (near[:, 1] - near[:, 0]).astype(float))


def _read_column(column: _Ticks, height: int) -> Ruler | None:
    step = _find_step(column.y)
    if step is None:
        return None
    spacing, offset = step
    number = np.rint((column.y - offset) / spacing)
    on = np.abs(column.y - offset - number * spacing) <= _OFF_PX
    if (~on).sum() > _STRAY * on.sum() or len(np.unique(number[on])) < on.sum():
        return None
    number, width = number[on].astype(int), column.width[on]
    spacing = float(np.polyfit(number, column.y[on], 1)[0])
    if not _is_whole(number, column.y[on], spacing):
        return None
    long = _find_long(number, width)
    mm_per_px = STEP_MM / spacing
    if long is None or not _DEPTH_MM[0] <= height * mm_per_px <= _DEPTH_MM[1]:
        return None
    return Ruler(mm_per_px, column.x, len(number), long)


def _find_step(y: Floats) -> tuple[float, float] | None:
    """Return the distance and the first place of the steps on which most strokes stand."""
    best: tuple[int, float, float] | None = None
    for spacing in np.unique(np.concatenate([np.diff(y), y[2:] - y[:-2]])):
        if spacing < _SHORTEST_STEP_PX:
            continue
        for offset in y[:4]:
            number = np.rint((y - offset) / spacing)
            # Over many steps a rough distance drifts: it is fitted before strokes are counted.
            near = np.abs(y - offset - number * spacing) < 0.12 * spacing
            if near.sum() < _FEWEST_TICKS or len(np.unique(number[near])) < 2:
                continue
            fitted, first = np.polyfit(number[near], y[near], 1)
            on = np.abs(y - first - np.rint((y - first) / fitted) * fitted) <= _OFF_PX
            score = int(on.sum())
            # Of steps that hold as many strokes, the widest: its halves hold them as well.
            if best is None or (score, fitted) > best[:2]:
                best = (score, float(fitted), float(first))
    if best is None or best[0] < _FEWEST_TICKS:
        return None
    return best[1], best[2]


def _is_whole(number: Integers, y: Floats, spacing: float) -> bool:
    present = len(number) / (number.max() - number.min() + 1)
    rest = y - number * spacing
    return bool(present >= _PRESENT and rest.std() <= _OFF_PX / 2 and len(number) >= _FEWEST_TICKS)


def _find_long(number: Integers, width: Floats) -> int | None:
    """Return how many longest ticks stand ten steps apart; None where lengths do not say so.

    Two of them, or one whose half-way neighbours are longer than those between, are proof.
    """
    long = width >= max(2.0 * float(np.median(width)), float(np.median(width)) + 3)
    if not long.any():
        return None
    first = int(number[long][0])
    if ((number[long] - first) % LONG_EVERY).any() or (
        (number - first) % LONG_EVERY == 0
    ).sum() != long.sum():
        return None
    even = (number - first) % 2 == 0
    whole, half = width[even & ~long], width[~even]
    if len(whole) < 3 or len(half) < 3:
        return None
    told = float(np.mean(whole) - np.mean(half)) >= 0.75 and np.median(whole) > np.median(half)
    return int(long.sum()) if told or long.sum() >= 2 else None
