"""From the network's answer to boxes with an angle: FCOS's decoding, in NumPy.

Tian et al. 2019 (arXiv 1904.01355), as torchvision has it: the score is the root of class times
centre-ness, sides are distances from a location in strides, a heap of boxes leaves its surest. What
is ours: the box has an angle, and its sides are measured along it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from neurosono.engine.contracts.arrays import Singles
from neurosono.engine.structures.answer import Answer
from neurosono.engine.structures.boxes import Found, RotatedBox, suppress
from neurosono.engine.structures.names import LV, PLEXUS

PAIRED = (LV, PLEXUS)
"""What a picture can show twice; all else once."""
AGREE = 0.5
"""Intersection over union from which on two boxes are of one structure."""
LARGEST_TURN_DEG = 45.0
_SMALLEST_PX = 1.0
"""A box that is thinner than a pixel of the input is none."""


@dataclass(frozen=True)
class Limits:
    """How sure a box must be, how much of it a surer one may share, how many are kept."""

    least_score: float = 0.25
    most_overlap: float = 0.5
    candidates: int = 40
    """Of each label, before heaps are thinned: a structure's own locations are some dozens."""
    kept: int | None = None
    """Of each label; None keeps as many as a brain has of it."""
    paired: tuple[str, ...] = PAIRED
    """Of what it has two."""
    together: bool = False
    """Whether a box is the mean of its heap's, and not its surest alone."""


def turn_of(turns: Singles) -> Singles:
    """Return angles in degrees (N,), -90 to 90, of cosine and sine of twice the angle (N, 2)."""
    angles: Singles = np.degrees(0.5 * np.arctan2(turns[:, 1], turns[:, 0]))
    return angles


def place_boxes(points: Singles, strides: Singles, sides: Singles, turns: Singles) -> Singles:
    """Return boxes (N, 5) as cx, cy, w, h, angle in degrees; `w` lies along the angle.

    `points` (N, 2) are the locations, `sides` (N, 4) left, top, right, bottom in `strides` (N,).
    """
    angle = turn_of(turns)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    left, top, right, bottom = (sides * strides[:, None]).T
    along, across = (right - left) / 2, (bottom - top) / 2
    cx = points[:, 0] + c * along - s * across
    cy = points[:, 1] + s * along + c * across
    boxes: Singles = np.stack([cx, cy, left + right, top + bottom, angle], axis=1)
    return boxes


def find_structures(answer: Answer, limits: Limits | None = None) -> list[Found]:
    """Return what was found, surest first, in pixels of the network's input."""
    limits = limits or Limits()
    points, strides = answer.grid.locations()
    scores = np.sqrt(answer.classes * answer.centreness[:, None])  # (N, C)
    kept: list[Found] = []
    for number, label in enumerate(answer.labels):
        column = scores[:, number]
        sure = np.flatnonzero(column > limits.least_score)
        sure = sure[np.argsort(-column[sure], kind="stable")][: limits.candidates]
        boxes = place_boxes(points[sure], strides[sure], answer.sides[sure], answer.turns[sure])
        heap = [
            Found(label, float(column[at]), RotatedBox(*(float(v) for v in box)))
            for at, box in zip(sure, boxes, strict=True)
            if min(box[2], box[3]) >= _SMALLEST_PX
        ]
        most = limits.kept or (2 if label in limits.paired else 1)
        best = suppress(heap, limits.most_overlap, most)
        if limits.together and best:
            best = [replace(each, box=_mean_box(each, boxes, column[sure])) for each in best]
        kept.extend(best)
    return sorted(kept, key=lambda each: -each.score)


def _mean_box(best: Found, boxes: Singles, scores: Singles) -> RotatedBox:
    """Return the mean of the `boxes` (N, 5) that agree with the surest, by their squared scores.

    They agree that share half of both in the frame of the surest: places beside each other see one
    structure, and their errors are not the same (Gidaris and Komodakis 2015, arXiv 1505.01749).
    """
    own = best.box
    c, s = math.cos(math.radians(own.angle_deg)), math.sin(math.radians(own.angle_deg))
    x, y, w, h, angle = boxes.astype(np.float64).T
    across = h > w  # the long side is the one whose angle counts
    w, h, angle = (
        np.where(across, h, w),
        np.where(across, w, h),
        np.where(across, angle + 90, angle),
    )
    turn = (angle - own.angle_deg + 90) % 180 - 90
    u, v = c * (x - own.cx) + s * (y - own.cy), c * (y - own.cy) - s * (x - own.cx)
    shared = np.clip(np.minimum(own.w, 2 * u + w) - np.maximum(-own.w, 2 * u - w), 0, None) / 2
    shared *= np.clip(np.minimum(own.h, 2 * v + h) - np.maximum(-own.h, 2 * v - h), 0, None) / 2
    agree = shared >= AGREE * (own.w * own.h + w * h - shared)
    weight = np.where(agree & (np.abs(turn) < LARGEST_TURN_DEG), scores.astype(np.float64) ** 2, 0)
    du, dv, w_, h_, turn_ = (float(weight @ each / weight.sum()) for each in (u, v, w, h, turn))
    cx, cy = own.cx + c * du - s * dv, own.cy + s * du + c * dv
    return RotatedBox(cx, cy, w_, h_, own.angle_deg + turn_)
