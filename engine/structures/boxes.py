"""Boxes with an angle: made of outlines, compared, thinned out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError

Points = Floats
Polygon = list[list[float]]


@dataclass(frozen=True)
class RotatedBox:
    """Centre and full sides in pixels, `w` >= `h`; `angle_deg` of `w` from +x towards +y, 0 to 180.

    The centre of a picture's first pixel is (0, 0). Raises `InputError` where it is no box.
    """

    cx: float
    cy: float
    w: float
    h: float
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        values = (self.cx, self.cy, self.w, self.h, self.angle_deg)
        if not all(math.isfinite(v) for v in values) or min(self.w, self.h) <= 0:
            raise InputError(f"a box has a finite centre and sides over 0, found {values}")
        if self.h > self.w:
            long = self.h
            object.__setattr__(self, "h", self.w)
            object.__setattr__(self, "w", long)
            object.__setattr__(self, "angle_deg", self.angle_deg + 90)
        object.__setattr__(self, "angle_deg", self.angle_deg % 180)

    @classmethod
    def around(cls, points: Points) -> Self:
        """Return the smallest box around points (n, 2), whichever way it lies."""
        corners = cv2.boxPoints(cv2.minAreaRect(np.asarray(points, np.float32)))
        first, second = corners[1] - corners[0], corners[2] - corners[1]
        cx, cy = corners.mean(0)
        angle = math.degrees(math.atan2(float(first[1]), float(first[0])))
        sides = float(np.hypot(*first)), float(np.hypot(*second))
        return cls(float(cx), float(cy), *sides, angle)

    def corners(self) -> Points:
        """Return the four corners in turn, (4, 2)."""
        turn = math.radians(self.angle_deg)
        u = np.array([math.cos(turn), math.sin(turn)]) * self.w / 2
        v = np.array([-math.sin(turn), math.cos(turn)]) * self.h / 2
        middle = np.array([self.cx, self.cy])
        return np.stack([middle - u - v, middle + u - v, middle + u + v, middle - u + v])

    def mapped(self, matrix: Floats) -> Self:
        """Return the smallest box around this one's corners after an affine `matrix` (2, 3)."""
        return self.around(self.corners() @ matrix[:, :2].T + matrix[:, 2])

    def to_dict(self) -> dict[str, Any]:
        """Return `cx, cy, w, h, angle_deg`."""
        return {
            "cx": self.cx,
            "cy": self.cy,
            "w": self.w,
            "h": self.h,
            "angle_deg": self.angle_deg,
        }


@dataclass(frozen=True)
class Found:
    """A structure that was found: what, how surely (0 to 1), where."""

    label: str
    score: float
    box: RotatedBox

    def to_dict(self) -> dict[str, Any]:
        """Return `label, score` and the box's own five numbers."""
        return {"label": self.label, "score": self.score, **self.box.to_dict()}


def overlap(first: RotatedBox, second: RotatedBox) -> float:
    """Return the two boxes' intersection over union."""
    shared = _shared_area(first, second)
    return shared / (first.w * first.h + second.w * second.h - shared)


def cover(first: RotatedBox, second: RotatedBox) -> float:
    """Return which share of the smaller of two boxes lies in the other, 0 to 1."""
    return _shared_area(first, second) / min(first.w * first.h, second.w * second.h)


def _shared_area(first: RotatedBox, second: RotatedBox) -> float:
    near = (math.hypot(first.w, first.h) + math.hypot(second.w, second.h)) / 2
    if math.hypot(first.cx - second.cx, first.cy - second.cy) >= near:
        return 0.0
    return _area(_clip(first.corners().tolist(), second.corners().tolist()))


def _clip(shape: Polygon, by: Polygon) -> Polygon:
    """Return what of a convex `shape` lies inside the convex `by` (Sutherland and Hodgman 1974).

    OpenCV's own intersections go wrong by a half and more where two boxes are nearly equal.
    """
    for (x0, y0), (x1, y1) in zip(by, [*by[1:], by[0]], strict=True):
        inside = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in shape]
        kept: Polygon = []
        for k, (here, at) in enumerate(zip(shape, inside, strict=True)):
            before, was = shape[k - 1], inside[k - 1]
            if (at >= 0) != (was >= 0):
                t = was / (was - at)
                kept.append([b + t * (h - b) for b, h in zip(before, here, strict=True)])
            if at >= 0:
                kept.append(here)
        shape = kept
    return shape


def _area(shape: Polygon) -> float:
    pairs = zip(shape, [*shape[1:], *shape[:1]], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def suppress(found: Sequence[Found], most_overlap: float, most: int | None = None) -> list[Found]:
    """Return the best of each heap of boxes of one label, surest first, at most `most` in all.

    A box goes where it overlaps a surer one of its label by more than `most_overlap`.
    """
    kept: list[Found] = []
    for each in sorted(found, key=lambda one: -one.score):
        if len(kept) == most:
            break
        rivals = (one for one in kept if one.label == each.label)
        if all(overlap(one.box, each.box) <= most_overlap for one in rivals):
            kept.append(each)
    return kept
