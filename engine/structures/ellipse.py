"""The head's outline as an ellipse: made, moved, fitted to an outline or to a map of the head."""

import math
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Singles
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.answer import MAP_STRIDE_PX

Points = Floats

_FIT_POINTS = 12
"""An ellipse has five unknowns; a handful of points more keep its fit from following noise."""
_FIT_SPAN = 0.5
"""Least share of the turn about the centre that the outline must cover to be trusted."""


@dataclass(frozen=True)
class Ellipse:
    """Centre and half axes in pixels, `a` >= `b`; `angle_deg` of `a` from +x towards +y, 0 to 180.

    The centre of a picture's first pixel is (0, 0). Raises `InputError` where it is no ellipse.
    """

    cx: float
    cy: float
    a: float
    b: float
    angle_deg: float

    def __post_init__(self) -> None:
        values = (self.cx, self.cy, self.a, self.b, self.angle_deg)
        if not all(math.isfinite(v) for v in values) or not self.a >= self.b > 0:
            raise InputError(f"an ellipse has finite half axes a >= b > 0, found {values}")
        object.__setattr__(self, "angle_deg", self.angle_deg % 180)

    @property
    def perimeter(self) -> float:
        """Return the circumference, by Ramanujan's first approximation (as HC18 defines HC)."""
        a, b = self.a, self.b
        return math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))

    def points(self, n: int = 72) -> Points:
        """Return `n` points of the outline, (n, 2)."""
        phi = np.linspace(0, 2 * np.pi, n, endpoint=False)
        c, s = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        x, y = self.a * np.cos(phi), self.b * np.sin(phi)
        return np.stack([self.cx + c * x - s * y, self.cy + s * x + c * y], axis=1)

    def mapped(self, matrix: Floats) -> Self:
        """Return the ellipse after an affine `matrix` (2, 3): an ellipse again, exactly."""
        linear = np.asarray(matrix, np.float64)[:, :2]
        turn = math.radians(self.angle_deg)
        axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        u, s, _ = np.linalg.svd(linear @ axes @ np.diag([self.a, self.b]))
        cx, cy = matrix @ np.array([self.cx, self.cy, 1.0])
        angle = math.degrees(math.atan2(u[1, 0], u[0, 0]))
        return type(self)(float(cx), float(cy), float(s[0]), float(s[1]), angle)

    def to_dict(self) -> dict[str, Any]:
        """Return `cx, cy, a, b, angle_deg`."""
        return {
            "cx": self.cx,
            "cy": self.cy,
            "a": self.a,
            "b": self.b,
            "angle_deg": self.angle_deg,
        }


def fit_ellipse(points: Points) -> Ellipse | None:
    """Return the least-squares ellipse of outline points (n, 2); None where none can be trusted."""
    if len(points) < _FIT_POINTS:
        return None
    try:
        (cx, cy), (d1, d2), angle = cv2.fitEllipseDirect(np.asarray(points, np.float32))
    except cv2.error:
        return None
    if d2 > d1:
        d1, d2, angle = d2, d1, angle + 90
    if not (math.isfinite(d1) and d2 > 1 and d1 < 4 * d2):
        return None
    about = np.arctan2(points[:, 1] - cy, points[:, 0] - cx)
    covered = len(np.unique(np.floor((about + np.pi) / (2 * np.pi) * 36).clip(0, 35))) / 36
    if covered < _FIT_SPAN:
        return None
    return Ellipse(float(cx), float(cy), float(d1) / 2, float(d2) / 2, float(angle))


def ellipse_of_map(
    logits: Singles,
    back: Floats,
    size_px: tuple[int, int],
    stride_px: int = MAP_STRIDE_PX,
    grown: int = 4,
) -> Ellipse | None:
    """Return the head's ellipse of a map of its inside, in pixels of a picture.

    `logits` (h, w) are over 0 inside the head; cell (i, j) speaks of pixel (i, j) * `stride_px` of
    the network's input, about which its convolutions look. `back` (2, 3) leads from there to the
    picture, `size_px` wide and high. The map is grown `grown` times, so that the outline lies
    between cells; outline on the picture's edge is where the head is cut off, and is left out.
    """
    size = (logits.shape[1] * grown, logits.shape[0] * grown)
    fine = cv2.resize(logits, size, interpolation=cv2.INTER_CUBIC)
    mask = (fine > 0).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not found:
        return None
    outline = max(found, key=cv2.contourArea)[:, 0, :].astype(np.float64)
    # The contour runs through the last cells inside: the edge is half a fine cell further out.
    middle = outline.mean(0)
    away = outline - middle
    outline = outline + 0.5 * away / np.maximum(np.hypot(*away.T), 1e-6)[:, None]
    points = ((outline + 0.5) / grown - 0.5) * stride_px
    edge = (np.array(logits.shape[::-1]) - 1) * stride_px - stride_px / 2
    free = ((points > stride_px / 2) & (points < edge)).all(1)
    points = points @ back[:, :2].T + back[:, 2]
    rim = stride_px / 2 * math.sqrt(abs(float(np.linalg.det(back[:, :2]))))
    last = np.array(size_px) - 1
    free &= ((points > rim) & (points < last - rim)).all(1)
    return fit_ellipse(points[free])


def unlike_map(head: Ellipse, logits: Singles, stride_px: int = MAP_STRIDE_PX) -> float:
    """Return how much of an ellipse's area a map of the head's inside denies it, or adds to it.

    0 where the map is sure of just this ellipse; what it is unsure of counts in part. `head` is in
    pixels of the network's input, `logits` (h, w) as for `ellipse_of_map`.
    """
    y, x = np.indices(logits.shape) * float(stride_px)
    turn = math.radians(head.angle_deg)
    along = (x - head.cx) * math.cos(turn) + (y - head.cy) * math.sin(turn)
    across = (y - head.cy) * math.cos(turn) - (x - head.cx) * math.sin(turn)
    inside = np.square(along / head.a) + np.square(across / head.b) < 1
    sure = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60)))
    return float(np.abs(sure - inside).sum() / max(1, np.count_nonzero(inside)))
