"""What a picture is like at a glance: how good it is, and whether it shows the view of another."""

from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.preprocess import to_grey
from neurosono.stream.intake.echo import LIT_LEVEL

GLANCE_PX = 128
"""Side of the square that is looked at: speckle averages out, borders of organs stay."""
CELLS = 16
"""Side of a view's appearance: views are compared by these alone, so that a hand that shakes
changes little (`stream.keep.proposals.OTHER_VIEW` holds what was measured)."""


@dataclass(frozen=True, eq=False)
class Glance:
    """`quality` ranks pictures of one exam, 0 to 1; `appearance` is `(CELLS, CELLS)` float32."""

    quality: float
    appearance: Singles


def glance_at(pixels: Pixels) -> Glance:
    """Glance at a region, `(H, W)` grey or `(H, W, 3)` BGR uint8.

    Quality is the share of the region with echoes, times their sharpness: the mean step between
    neighbours over the mean level, where there are echoes. So a blurred, a dark or a half empty
    copy of a picture scores lower than the picture. It is no measure of diagnostic quality: it
    knows no anatomy, and pictures of two scanners or settings cannot be compared by it.
    """
    step = max(1, min(pixels.shape[:2]) // (2 * GLANCE_PX))  # 1080p: 1.0 ms for 5
    size = GLANCE_PX, GLANCE_PX
    thin = np.ascontiguousarray(pixels[::step, ::step])
    levels = to_grey(np.asarray(cv2.resize(thin, size, interpolation=cv2.INTER_AREA), np.uint8))
    cells = cv2.resize(levels, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return Glance(_score(levels), np.asarray(cells, dtype=np.float32))


def _score(levels: Pixels) -> float:
    lit = cv2.blur(levels, (5, 5)) > LIT_LEVEL
    count = int(np.count_nonzero(lit))
    if not count:
        return 0.0
    down = cv2.Sobel(levels, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    right = cv2.Sobel(levels, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    # the border of the echoes against the black around them is no sharpness of theirs
    inside = cv2.erode(lit.astype(np.uint8), np.ones((5, 5), dtype=np.uint8)) > 0
    if not inside.any():
        return 0.0
    step = float(np.mean(cv2.magnitude(right, down)[inside]))
    level = float(np.mean(levels[inside]))
    return count / float(lit.size) * min(1.0, step / max(1.0, level))


def view_distance(one: Glance, other: Glance) -> float:
    """Return how unlike two views are: 0 for the same, 1 for unrelated, up to 2.

    One minus the correlation of their levels, over the cells in which either has echoes: what is
    dark around every picture makes none of them alike. Gain and brightness do not count.
    """
    lit = np.maximum(one.appearance, other.appearance) > LIT_LEVEL
    if np.count_nonzero(lit) < 2:
        return 0.0
    a, b = one.appearance[lit], other.appearance[lit]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return 0.0 if norm < 1e-6 else 1.0 - float(np.vdot(a, b)) / norm
