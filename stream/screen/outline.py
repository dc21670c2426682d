"""From a patch of echoes to the outline that the transducer draws.

An outline is convex but for the transducer's own curved face, its sides are straight, and it is
symmetric: what a shadow hides on one side is known from the other. All coordinates are working
pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels

SIDE_ROWS = 24
"""Rows from which lines for a side are tried, pair by pair."""
SIDE_TOLERANCE_PX = 1.5
"""From a side's line: nearer points lie on it."""
SIDE_SHARE = 0.4
"""Of the rows in which the side is seen: fewer on the line, and the side is not straight."""
SLACK_PX = 2
"""Added outside a side's line, so that no echo is cut."""
STEEPEST = 2.5
"""Largest slope of a side, columns a row: a sector of 136 degrees."""
MIRROR_SLOPE = 0.08
"""Largest difference of the two sides' slopes in a picture that is mirrored."""
FACE_SHARE = 0.015
"""Of the outline's height: a transducer's face that is bent less is left as a straight line."""
FEWEST_ECHOES = 6
"""Of a face: half of them must still tell a parabola."""


@dataclass(frozen=True)
class Side:
    """A straight side of the picture: `column = at + slope * row`."""

    at: float
    slope: float


def trace_outline(patch: Pixels, dense: Pixels, bright: Pixels) -> Pixels:
    """Return the outline around a patch as a filled mask.

    `patch`, `(h, w)` uint8, 255 inside, is what surely is ultrasound, with its corners rounded;
    `dense` what may be; `bright` what is clearly lit, so that none of it is taken in by guessing.
    Returns `(h, w)` uint8, 0 or 255.
    """
    left, right = fit_sides(patch)
    within = between(patch.shape, left, right)
    trimmed = np.where(within > 0, patch, 0).astype(np.uint8)
    outline = fill_hull(trimmed if trimmed.any() else patch)
    if left is not None and right is not None:
        outline = mirror(outline, left, right, within, bright)
    return cut_face(outline, dense)


def fill_hull(mask: Pixels) -> Pixels:
    """Return a mask's convex hull, filled; the mask must not be empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    lit = mask[rows] > 0
    first, last = np.argmax(lit, axis=1), mask.shape[1] - 1 - np.argmax(lit[:, ::-1], axis=1)
    ends = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)])
    hull = np.zeros(mask.shape, dtype=np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(ends.astype(np.int32)), 255)
    return hull


def fit_sides(patch: Pixels) -> tuple[Side | None, Side | None]:
    """Return the lines along the patch's left and right sides, where they are straight."""
    right = fit_side(patch[:, ::-1])
    if right is not None:
        right = Side(patch.shape[1] - 1 - right.at, -right.slope)
    return fit_side(patch), right


def fit_side(patch: Pixels) -> Side | None:
    """Return the line along the patch's left side, or None where that is not straight.

    Tries the lines through pairs of rows and takes the one on which most rows end; rows that end
    beyond it count against it, rows that end short of it, in a shadow, do not. Rows that reach the
    screen's edge lie on no line.
    """
    rows = np.flatnonzero(patch.any(axis=1))
    first = np.argmax(patch[rows] > 0, axis=1)
    height = len(rows)
    every_row, every_first = rows, first
    rows, first = rows[first > 1], first[first > 1]
    if len(rows) < max(8, 0.12 * height):
        return None
    picks = np.unique(np.linspace(0, len(rows) - 1, SIDE_ROWS).astype(int))
    one, other = np.triu_indices(len(picks), 3)
    one, other = picks[one], picks[other]
    slope = (first[other] - first[one]) / (rows[other] - rows[one])
    at = first[one] - slope * rows[one]
    off = first[None, :] - (at[:, None] + slope[:, None] * rows[None, :])
    on = np.count_nonzero(np.abs(off) <= SIDE_TOLERANCE_PX, axis=1)
    off = every_first[None, :] - (at[:, None] + slope[:, None] * every_row[None, :])
    beyond = np.count_nonzero(off < -2 * SIDE_TOLERANCE_PX, axis=1)
    score = np.where(np.abs(slope) > STEEPEST, -height, on - 2 * beyond)
    best = int(np.argmax(score))
    if score[best] < SIDE_SHARE * len(rows):
        return None
    return Side(float(at[best]), float(slope[best]))


def between(shape: tuple[int, ...], left: Side | None, right: Side | None) -> Pixels:
    """Return a mask of this shape: 255 between the two sides, or beside the one that is known."""
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    inside = np.ones(shape[:2], dtype=np.bool_)
    if left is not None:
        inside &= columns >= left.at + left.slope * rows - SLACK_PX
    if right is not None:
        inside &= columns <= right.at + right.slope * rows + SLACK_PX
    return inside.astype(np.uint8) * np.uint8(255)


def mirror(
    outline: Pixels,
    left: Side,
    right: Side,
    within: Pixels,
    bright: Pixels,
) -> Pixels:
    """Return the outline with each half grown to what the other half shows.

    Left as it is where the two sides are not alike, or where that would take in something lit that
    is not of the patch.
    """
    if abs(left.slope + right.slope) > MIRROR_SLOPE:
        return outline
    rows = np.flatnonzero(outline.any(axis=1))
    middle = float(rows.mean())
    axis = (left.at + left.slope * middle + right.at + right.slope * middle) / 2
    turn = np.array([[-1.0, 0.0, 2 * axis], [0.0, 1.0, 0.0]])
    turned = cv2.warpAffine(outline, turn, outline.shape[::-1], flags=cv2.INTER_NEAREST)
    both = fill_hull(np.asarray(outline | turned, dtype=np.uint8)) & within
    added = (both > 0) & (outline == 0)
    if np.count_nonzero(added & (bright > 64)) > 0.005 * np.count_nonzero(added):
        return outline
    return np.asarray(both, dtype=np.uint8)


def cut_face(outline: Pixels, dense: Pixels) -> Pixels:
    """Return the outline less what lies above a curved transducer's face.

    The face is an arc, lowest in the middle; where the first echoes do not lie on one, nothing is
    cut.
    """
    columns = np.flatnonzero(outline.any(axis=0))
    top = np.argmax(outline[:, columns] > 0, axis=0)
    echoes = np.where(outline > 0, dense, 0)[:, columns] > 0
    first = np.argmax(echoes, axis=0)
    height = np.count_nonzero(outline.any(axis=1))
    bent = echoes.any(axis=0) & (first - top > 1) & (first - top < 0.3 * height)
    if np.count_nonzero(bent) < max(0.1 * len(columns), FEWEST_ECHOES):
        return outline
    x, y = columns[bent].astype(float), first[bent].astype(float)
    curve = np.polynomial.Polynomial.fit(x, y, 2)
    off = np.abs(curve(x) - y)
    curve = np.polynomial.Polynomial.fit(x[off <= np.median(off)], y[off <= np.median(off)], 2)
    off = np.abs(curve(x) - y)
    depth = float(np.max(first[bent] - top[bent]))
    bends_down = float(curve.convert().coef[2]) < 0
    straight = np.count_nonzero(off < SIDE_TOLERANCE_PX) < 0.7 * len(x)
    if straight or not bends_down or depth < FACE_SHARE * height:
        return outline
    face = curve(columns.astype(float)) - SLACK_PX
    above = np.arange(outline.shape[0])[:, None] < face[None, :]
    near = (columns >= x.min()) & (columns <= x.max())
    cut = outline.copy()
    cut[:, columns] = np.where(above & near[None, :], 0, cut[:, columns])
    return cut
