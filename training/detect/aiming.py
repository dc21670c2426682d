"""`targets.aim` of a whole batch at once, on whatever device it lies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from neurosono.engine.structures.answer import MAP_STRIDE_PX, Grid
from neurosono.engine.structures.names import PLANES
from neurosono.training.detect.aims import Aims
from neurosono.training.detect.rows import FOREIGN, Row
from neurosono.training.detect.targets import CENTRE_RADIUS, level_reaches


@dataclass(frozen=True)
class Places:
    """A grid's locations on a device: `points` (N, 2), `strides`, and their levels' reach (N,)."""

    size_px: int
    points: Tensor
    strides: Tensor
    lower: Tensor
    upper: Tensor

    @classmethod
    def of(cls, grid: Grid, device: torch.device) -> "Places":
        """Return the locations of a grid."""
        arrays = (*grid.locations(), *level_reaches(grid))
        return cls(grid.size_px, *(torch.from_numpy(each.copy()).to(device) for each in arrays))


@dataclass(frozen=True)
class Known:
    """What is known of R pictures with up to K marks, in pixels of their squares.

    `boxes` (R, K, 5) centre, sides and angle in radians; `labels` (R, K), -1 for none; `upright`
    and `foreign` (R, K); `known`, `seen` (R, C); `planes` (R, P); `head` (R, 2, 3), the affine from
    the unit circle to its outline; `headed` and `head_known` (R,).
    """

    boxes: Tensor
    labels: Tensor
    upright: Tensor
    foreign: Tensor
    known: Tensor
    seen: Tensor
    planes: Tensor
    head: Tensor
    headed: Tensor
    head_known: Tensor

    @classmethod
    def of(cls, rows: Sequence[Row], labels: tuple[str, ...], device: torch.device) -> "Known":
        """Return what rows tell, on a device."""
        most = max(1, *(len(row.boxes) for row in rows), 1)
        boxes = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0]).repeat(len(rows), most, 1)
        names = torch.full((len(rows), most), -1)
        upright, foreign = (torch.zeros(len(rows), most, dtype=torch.bool) for _ in range(2))
        head = torch.eye(2, 3).repeat(len(rows), 1, 1)
        for at, row in enumerate(rows):
            for k, each in enumerate(row.boxes):
                box = each.box
                turn = math.radians(box.angle_deg)
                boxes[at, k] = torch.tensor([box.cx, box.cy, box.w, box.h, turn])
                names[at, k], upright[at, k] = labels.index(each.label), each.upright
                foreign[at, k] = each.upright and each.label in FOREIGN
            if row.head is not None:
                a, b, turn = row.head.a, row.head.b, math.radians(row.head.angle_deg)
                c, s = math.cos(turn), math.sin(turn)
                axes = [[a * c, -b * s, row.head.cx], [a * s, b * c, row.head.cy]]
                head[at] = torch.tensor(axes)
        found = (
            boxes,
            names,
            upright,
            foreign,
            torch.tensor([[name in row.known for name in labels] for row in rows]),
            torch.tensor([[name in row.seen for name in labels] for row in rows]),
            torch.tensor([[name in row.planes for name in PLANES] for row in rows]),
            head,
            torch.tensor([row.head is not None for row in rows]),
            torch.tensor([row.head_known for row in rows]),
        )
        return cls(*(each.to(device) for each in found))

    def of_rows(self, rows: Tensor) -> "Known":
        """Return what is known of some of the pictures (B,)."""
        return Known(*(getattr(self, each.name)[rows] for each in fields(self)))


def aim_views(known: Known, matrix: Tensor, places: Places) -> Aims:
    """Return what is asked of views that affines (B, 2, 3) cut from known pictures."""
    boxes = map_boxes(known.boxes, known.upright, matrix)
    side, middles = places.size_px, boxes[..., :2]
    inside = ((middles >= 0) & (middles < side)).all(-1) & (known.labels >= 0)
    names = torch.arange(known.known.shape[-1], device=matrix.device)
    of = known.labels[..., None] == names  # (B, K, C)
    lost = (of & ~inside[..., None]).any(1)
    foreign = (of & (inside & known.foreign)[..., None]).any(1)
    counts = inside & ~known.foreign & ~(of & foreign[:, None]).any(-1)
    labels, sides, turns, shaped = _assign(boxes, known.labels, known.upright, counts, places)
    left, top, right, bottom = sides.unbind(-1)
    near = (torch.minimum(left, right) / torch.maximum(left, right).clamp(min=1e-9)) * (
        torch.minimum(top, bottom) / torch.maximum(top, bottom).clamp(min=1e-9)
    )
    return Aims(
        labels=labels,
        sides=sides,
        near=near.clamp(min=0).sqrt(),
        turns=turns,
        shaped=shaped,
        known=known.known & ~lost & ~foreign,
        seen=known.seen | foreign,
        planes=known.planes,
        head=_draw_heads(known.head, matrix, side) * known.headed[:, None, None],
        head_known=known.head_known,
    )


def map_boxes(boxes: Tensor, upright: Tensor, matrix: Tensor) -> Tensor:
    """Return boxes (B, K, 5) after affines (B, 2, 3), angles over -pi / 2 up to pi / 2.

    The smallest box around a parallelogram lies along the longer of its edges.
    """
    cx, cy, w, h, angle = boxes.unbind(-1)
    linear = matrix[:, None, :, :2]
    middle = (linear @ torch.stack([cx, cy], -1)[..., None])[..., 0] + matrix[:, None, :, 2]
    c, s = torch.cos(angle), torch.sin(angle)
    u = (linear @ torch.stack([c * w, s * w], -1)[..., None])[..., 0]
    v = (linear @ torch.stack([-s * h, c * h], -1)[..., None])[..., 0]
    longer = (u.norm(dim=-1) >= v.norm(dim=-1))[..., None]
    first, second = torch.where(longer, u, v), torch.where(longer, v, u)
    length = first.norm(dim=-1)
    over = (first * second).sum(-1).abs() / length
    area = (u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]).abs()
    wide = torch.where(upright, u[..., 0].abs() + v[..., 0].abs(), length + over)
    high = torch.where(upright, u[..., 1].abs() + v[..., 1].abs(), area / length)
    turn = torch.where(upright, 0.0, torch.atan2(first[..., 1], first[..., 0]))
    turn = torch.where(high > wide, turn + math.pi / 2, turn) % math.pi
    turn = torch.where(turn > math.pi / 2 + 1e-6, turn - math.pi, turn)
    long, short = torch.maximum(wide, high), torch.minimum(wide, high)
    return torch.stack([*middle.unbind(-1), long, short, turn], -1)


def _assign(
    boxes: Tensor, names: Tensor, upright: Tensor, counts: Tensor, places: Places
) -> tuple[Tensor, ...]:
    """`targets.assign`: labels (B, N), sides (B, N, 4), turns (B, N, 2) and shaped (B, N)."""
    points, strides = places.points, places.strides
    cx, cy, w, h, turn = (each[..., None] for each in boxes.unbind(-1))  # (B, K, 1)
    x, y = points[:, 0] - cx, points[:, 1] - cy  # (B, K, N)
    c, s = torch.cos(turn), torch.sin(turn)
    along, across = c * x + s * y, c * y - s * x
    longest = torch.maximum(w / 2 + along.abs(), h / 2 + across.abs())
    inside = torch.minimum(w / 2 - along.abs(), h / 2 - across.abs()) > 0
    finest = strides.min()
    coarsest = torch.where(strides <= h, strides, finest).amax(-1, keepdim=True)  # (B, K, 1)
    reach = torch.where(strides == coarsest, torch.inf, places.upper)
    mine = torch.maximum(along.abs(), across.abs()) < CENTRE_RADIUS * strides
    mine &= inside & (longest > places.lower) & (longest < reach) & (strides <= coarsest)
    area = torch.where(mine & counts[..., None], w * h, torch.inf)
    least, at = area.min(1, keepdim=True)  # (B, 1, N)
    hit = torch.isfinite(least[:, 0])

    def pick(each: Tensor) -> Tensor:
        return each.expand_as(area).gather(1, at)[:, 0]

    along, across, half_w, half_h = pick(along), pick(across), pick(w / 2), pick(h / 2)
    sides = torch.stack([half_w + along, half_h + across, half_w - along, half_h - across], -1)
    double = torch.where(hit, 2 * pick(turn), 0.0)
    return (
        torch.where(hit, pick(names[..., None]), -1),
        torch.where(hit[..., None], sides / strides[:, None], 0.0),
        torch.stack([torch.cos(double), torch.sin(double)], -1),
        ~pick(upright[..., None]) & hit,
    )


def invert(linear: Tensor) -> Tensor:
    """Return the inverse of matrices (B, 2, 2); `torch.linalg` makes a GPU wait for its check."""
    a, b, c, d = linear.flatten(1).unbind(1)
    other = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1)
    return other / (a * d - b * c)[:, None, None]


def _draw_heads(head: Tensor, matrix: Tensor, size_px: int) -> Tensor:
    """`targets.draw_head` of ellipses (B, 2, 3) after affines (B, 2, 3): (B, h, w)."""
    linear = matrix[:, :, :2] @ head[:, :, :2]
    middle = matrix[:, :, :2] @ head[:, :, 2:] + matrix[:, :, 2:]
    along = torch.arange(size_px // MAP_STRIDE_PX, device=head.device) * float(MAP_STRIDE_PX)
    y, x = torch.meshgrid(along, along, indexing="ij")
    away = torch.stack([x.ravel(), y.ravel()]) - middle  # (B, 2, h * w)
    radius = (invert(linear) @ away).norm(dim=1)
    reach = away.norm(dim=1) / radius.clamp(min=1e-6)
    inside = (0.5 + (1 - radius) * reach / MAP_STRIDE_PX).clamp(0, 1)
    inside = torch.where(radius < 1e-3, 1.0, inside)
    return inside.view(-1, len(along), len(along))
