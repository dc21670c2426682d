"""What each location of the pyramid is asked for: FCOS's targets, for boxes with an angle.

Tian et al. 2019 (arXiv 1904.01355) as torchvision has it: a location answers for a box that it is
inside of, near the middle of, and of its level's size; of several, for the smallest. Sides are
measured in the box's own frame; for upright boxes that is torchvision's very assignment.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Integers, Singles
from neurosono.engine.structures.answer import MAP_STRIDE_PX, Grid
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import PLANES, STRUCTURES
from neurosono.training.detect.rows import Row

CENTRE_RADIUS = 1.5
"""In strides, about a box's middle: torchvision's."""
LEVEL_REACH = (4.0, 8.0)
"""In strides, the longest side that a level answers for; the first and last level are open.

No level answers for a box thinner than its stride, which might lie between its locations: a finer
one does.
"""


@dataclass(frozen=True)
class Targets:
    """Of one picture: N locations, C structures, P planes, a map of (h, w).

    `labels` (N,) the structure's number, -1 for none; `sides` (N, 4) in strides; `turns` (N, 2);
    `shaped` (N,) whether the box's sides and angle are known; `known` and `seen` (C,); `planes`
    (P,) those that it may show, all False where nothing is told; `head` (h, w) 0 to 1 and
    `head_known`.
    """

    labels: Integers
    sides: Singles
    turns: Singles
    shaped: Flags
    known: Flags
    seen: Flags
    planes: Flags
    head: Singles
    head_known: bool


def frame_of(box: RotatedBox) -> tuple[float, float, float]:
    """Return `w`, `h` and the angle in radians, from -pi/2 to pi/2, of the frame of a box's sides.

    Ventricles lie along the picture, so the angle jumps where hardly any lies: upright.
    """
    angle = box.angle_deg if box.angle_deg <= 90 else box.angle_deg - 180
    return box.w, box.h, math.radians(angle)


def measure_sides(points: Singles, box: RotatedBox) -> Singles:
    """Return left, top, right and bottom (N, 4) of a box in pixels, seen from points (N, 2)."""
    w, h, angle = frame_of(box)
    away = points - np.array([box.cx, box.cy], np.float32)
    along = away @ np.array([math.cos(angle), math.sin(angle)], np.float32)
    across = away @ np.array([-math.sin(angle), math.cos(angle)], np.float32)
    sides = np.stack([w / 2 + along, h / 2 + across, w / 2 - along, h / 2 - across], axis=1)
    return np.asarray(sides, np.float32)


def level_reaches(grid: Grid) -> tuple[Singles, Singles]:
    """Return over and under which longest side in pixels each location answers, (N,) and (N,)."""
    _, strides = grid.locations()
    first, last = grid.counts[0], grid.counts[-1]
    lower, upper = strides * LEVEL_REACH[0], strides * LEVEL_REACH[1]
    lower[:first], upper[len(upper) - last :] = 0, np.inf
    return lower, upper


def assign(grid: Grid, boxes: Sequence[RotatedBox]) -> tuple[Integers, Singles]:
    """Return of each location the box it answers for, -1 for none (N,), and its sides (N, 4)."""
    points, strides = grid.locations()
    lower, upper = level_reaches(grid)
    matched = np.full(len(points), -1, np.int64)
    smallest = np.full(len(points), np.inf)
    sides = np.zeros((len(points), 4), np.float32)
    for number, box in enumerate(boxes):
        found = measure_sides(points, box)
        away = np.abs(_in_frame(points, box)).max(1)
        longest = found.max(1)
        mine = (away < CENTRE_RADIUS * strides) & (found.min(1) > 0)
        coarsest = max(strides.min(), strides[strides <= box.h].max(initial=0))
        reach = np.where(strides == coarsest, np.inf, upper)
        mine &= (longest > lower) & (longest < reach) & (strides <= coarsest)
        mine &= box.w * box.h < smallest
        matched[mine], smallest[mine], sides[mine] = number, box.w * box.h, found[mine]
    return matched, sides / strides[:, None]


def _in_frame(points: Singles, box: RotatedBox) -> Singles:
    found = measure_sides(points, box)
    return np.asarray((found[:, :2] - found[:, 2:]) / 2, np.float32)


def centreness_of(sides: Singles) -> Singles:
    """Return how near the middle of their box locations are, 0 to 1 (N,), of sides (N, 4)."""
    pairs = np.stack([sides[:, [0, 2]], sides[:, [1, 3]]], axis=1)  # (N, 2, 2)
    shares = pairs.min(2) / np.maximum(pairs.max(2), 1e-9)
    found: Singles = np.sqrt(np.maximum(shares.prod(1), 0))
    return found


def draw_head(head: Ellipse | None, size_px: int) -> Singles:
    """Return how far inside the head each cell of the map is: 0 out, 1 in, a ramp a cell wide."""
    along = np.arange(size_px // MAP_STRIDE_PX, dtype=np.float32) * MAP_STRIDE_PX
    if head is None:
        return np.zeros((len(along), len(along)), np.float32)
    x, y = np.meshgrid(along - head.cx, along - head.cy)
    c, s = math.cos(math.radians(head.angle_deg)), math.sin(math.radians(head.angle_deg))
    u, v = (c * x + s * y) / head.a, (c * y - s * x) / head.b
    radius = np.hypot(u, v)
    # To first order the way to the outline is this share of the ellipse's own radius there.
    reach = np.hypot(c * x + s * y, c * y - s * x) / np.maximum(radius, 1e-6)
    inside: Singles = np.clip(0.5 + (1 - radius) * reach / MAP_STRIDE_PX, 0, 1).astype(np.float32)
    inside[radius < 1e-3] = 1
    return inside


def aim(row: Row, grid: Grid, labels: tuple[str, ...] = STRUCTURES) -> Targets:
    """Return the targets of a picture, of a network that tells `labels` apart."""
    row = row.without_foreign()
    matched, sides = assign(grid, [each.box for each in row.boxes])
    numbers = np.array([labels.index(each.label) for each in row.boxes] + [-1], np.int64)
    shaped = np.array([not each.upright for each in row.boxes] + [False])
    angles = np.array([2 * frame_of(each.box)[2] for each in row.boxes] + [0.0])
    turns = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return Targets(
        labels=numbers[matched],
        sides=sides,
        turns=turns[matched],
        shaped=shaped[matched],
        known=np.array([name in row.known for name in labels]),
        seen=np.array([name in row.seen for name in labels]),
        planes=np.array([name in row.planes for name in PLANES]),
        head=draw_head(row.head, grid.size_px),
        head_known=row.head_known,
    )
