"""From the network's answer to boxes with an angle: FCOS's decoding, in NumPy.

Tian et al. 2019 (arXiv 1904.01355), as torchvision has it: the score is the root of class times
centre-ness, sides are distances from a location in strides, a heap of boxes leaves its surest. What
is ours: the box has an angle, and its sides are measured along it.
"""

from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.arrays import Singles
from neurosono.engine.structures.answer import Answer
from neurosono.engine.structures.boxes import Found, RotatedBox, suppress
from neurosono.engine.structures.names import LV, PLEXUS

PAIRED = (LV, PLEXUS)
"""What a picture can show twice; all else once."""
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
        kept.extend(suppress(heap, limits.most_overlap, most))
    return sorted(kept, key=lambda each: -each.score)
