"""The head's ellipse drawn to the skull's outer edge, as the square itself shows it.

The network's map has a cell every four pixels; the edge is sharper. Along normals of the ellipse
the steepest fall from bright to dark near it is looked for, and the ellipse is moved there by
weighted least squares that forget outliers, where the skull is hidden or something else is bright.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.engine.structures.ellipse import Ellipse

Box = tuple[int, int, int, int]

NORMALS = 72
ROUNDS = 2
REWEIGHTINGS = 3


@dataclass(frozen=True)
class Search:
    """How far from the ellipse an edge is looked for, and how much it must speak against it.

    `reach` and `prior` (a standard deviation) are shares of the short half axis; `blur_px` smooths
    speckle away; `ridge` holds the ellipse back where few normals see an edge; `outwards_px` is how
    far outside of the steepest fall the drawn outline lies.
    """

    reach: float = 0.08
    prior: float = 0.03
    blur_px: float = 1.0
    ridge: float = 10.0
    outwards_px: float = 0.0


def refine(square: Pixels, head: Ellipse, search: Search | None = None) -> Ellipse:
    """Return `head` moved to the edge that a square (S, S) uint8 shows, in its pixels.

    Where the picture in it ends is no edge. Where there is none the ellipse stays as it was.
    """
    search = search or Search()
    smooth = np.asarray(cv2.GaussianBlur(square, (0, 0), search.blur_px), np.uint8)
    x, y, w, h = cv2.boundingRect(square)
    for _ in range(ROUNDS):
        away, weight = _find_edge(smooth, head, (x, y, w, h), search)
        head = _moved(head, away, weight, search)
    return head


def _frame(head: Ellipse) -> tuple[Floats, Floats, Floats, Floats]:
    """Return points on the ellipse and its normals there, in its own axes: x, y, nx, ny (N,)."""
    phi = np.linspace(0, 2 * np.pi, NORMALS, endpoint=False)
    nx, ny = np.cos(phi) / head.a, np.sin(phi) / head.b
    length = np.hypot(nx, ny)
    return head.a * np.cos(phi), head.b * np.sin(phi), nx / length, ny / length


def _find_edge(
    smooth: Pixels, head: Ellipse, picture: Box, search: Search
) -> tuple[Floats, Floats]:
    """Return how far out along each normal the edge lies, in pixels (N,), and its weight (N,)."""
    x, y, nx, ny = _frame(head)
    out = np.linspace(-1, 1, 2 * max(2, int(search.reach * head.b)) + 1) * search.reach * head.b
    u, v = x[:, None] + nx[:, None] * out, y[:, None] + ny[:, None] * out
    c, s = math.cos(math.radians(head.angle_deg)), math.sin(math.radians(head.angle_deg))
    across = (head.cx + c * u - s * v).astype(np.float32)
    down = (head.cy + s * u + c * v).astype(np.float32)
    level = cv2.remap(smooth, across, down, cv2.INTER_LINEAR).astype(np.float64)
    fall = np.maximum(-np.gradient(level, axis=1), 0)
    score = fall * np.exp(-0.5 * (out / (search.prior * head.b)) ** 2)
    at, best = score.argmax(1), score.max(1)
    left, top, width, height = picture
    inside = (across.min(1) > left + 1) & (across.max(1) < left + width - 2)
    inside &= (down.min(1) > top + 1) & (down.max(1) < top + height - 2)
    if not inside.any() or not (usual := float(np.median(best[inside]))) > 0:
        return out[at], np.zeros(NORMALS)
    return out[at] + search.outwards_px, np.clip(best / usual, 0, 2) * inside


def _moved(head: Ellipse, away: Floats, weight: Floats, search: Search) -> Ellipse:
    """Return the ellipse that best meets points `away` from it (N,): shift, half axes, turn."""
    if not weight.any():
        return head
    x, y, nx, ny = _frame(head)
    phi = np.linspace(0, 2 * np.pi, NORMALS, endpoint=False)
    slopes = np.stack(
        [nx, ny, nx * np.cos(phi), ny * np.sin(phi), (ny * x - nx * y) / head.a], axis=1
    )
    trust: Floats = weight
    step: Floats = np.zeros(5)
    for _ in range(REWEIGHTINGS):
        normal = slopes.T @ (slopes * trust[:, None]) + search.ridge * np.eye(5)
        step = np.asarray(np.linalg.solve(normal, slopes.T @ (trust * away)), np.float64)
        left = np.abs(away - slopes @ step)
        usual = max(1.0, 1.5 * float(np.median(left[weight > 0])))
        trust = weight / (1.0 + np.square(left / usual))
    dx, dy, da, db, turn = (float(each) for each in step)
    a, b = head.a + da, head.b + db
    if not a >= b > 0:
        return head
    c, s = math.cos(math.radians(head.angle_deg)), math.sin(math.radians(head.angle_deg))
    angle = head.angle_deg + math.degrees(turn / head.a)
    return Ellipse(head.cx + c * dx - s * dy, head.cy + s * dx + c * dy, a, b, angle)
