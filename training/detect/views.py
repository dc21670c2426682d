"""`augmentation` of a whole batch at once, on whatever device it lies: the same kinds of views.

Resolutions are the same few in each batch, for a device works on one size at a time; all else is
drawn for each view.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from neurosono.training.detect.aiming import invert
from neurosono.training.detect.augmentation import Strength


class _Draw:
    """Numbers for the B views of a batch."""

    def __init__(self, many: int, generator: torch.Generator) -> None:
        self._many, self._generator = many, generator

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (B,), evenly from `low` to `high`."""
        drawn = torch.rand(self._many, generator=self._generator, device=self._generator.device)
        return low + (high - low) * drawn

    def either(self, share: float) -> Tensor:
        """Return (B,) bool, a share of them True."""
        return self.uniform(0, 1) < share

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape)."""
        device = self._generator.device
        return torch.randn(self._many, *shape, generator=self._generator, device=device)


def draw_affines(
    base: Tensor, near: Tensor, side: int, strength: Strength, generator: torch.Generator
) -> Tensor:
    """Return affines (B, 2, 3) from squares to views: `base`, turned, scaled, mirrored and moved.

    Where `near` (B,), as little as `Strength.closer` lets them.
    """
    draw, less = _Draw(len(base), generator), strength.closer()

    def pick(far: float, close: float) -> Tensor:
        return torch.where(near, close, far)

    about = draw.uniform(0, 1) < pick(strength.about, less.about)
    turn = draw.normal() * pick(strength.turn_deg, less.turn_deg) * math.radians(0.5)
    turn = turn + math.pi * about
    scale = torch.exp(draw.uniform(-1, 1) * pick(strength.scale, less.scale))
    squeeze = torch.exp(draw.uniform(-strength.squeeze, strength.squeeze))
    flips = [1.0 - 2.0 * draw.either(strength.mirror) for _ in range(2)]
    x, y = flips[0] * scale * squeeze, flips[1] * scale / squeeze
    c, s = torch.cos(turn), torch.sin(turn)
    linear = torch.stack([torch.stack([c * x, -s * y], 1), torch.stack([s * x, c * y], 1)], 1)
    middle = torch.full((2, 1), (side - 1) / 2, device=base.device)
    reach = pick(strength.shift, less.shift) * side
    moved = torch.stack([draw.uniform(-1, 1) * reach, draw.uniform(-1, 1) * reach], 1)
    shift = linear @ (base[:, :, 2:] - middle) + middle + moved[:, :, None]
    return torch.cat([linear @ base[:, :, :2], shift], 2)


def warp(squares: Tensor, matrix: Tensor, side: int) -> Tensor:
    """Return views (B, 1, L, L) that affines (B, 2, 3) cut from squares (B, S, S) uint8.

    As `cv2.warpAffine` with linear interpolation, levels rounded.
    """
    last = squares.shape[-1] - 1
    back = invert(matrix[:, :, :2])
    along = torch.arange(side, device=matrix.device, dtype=matrix.dtype)
    y, x = torch.meshgrid(along, along, indexing="ij")
    points = torch.stack([x, y], -1).view(1, -1, 2) - matrix[:, None, :, 2]
    source = (points @ back.transpose(1, 2)).view(-1, side, side, 2)
    grid = 2 * source / last - 1
    level = functional.grid_sample(squares[:, None].float(), grid, align_corners=True)
    return level.round()


def alter(level: Tensor, strength: Strength, generator: torch.Generator) -> Tensor:
    """Return views (B, 1, L, L) as other machines show them, levels 0 to 255 in whole numbers."""
    draw = _Draw(len(level), generator)
    level = _change_greys(level, draw, strength)
    level = torch.where(_wide(draw.either(strength.coarser)), _coarsen(level), level)
    level = torch.where(_wide(draw.either(0.3)), _blur(level, draw), level)
    noise = _wide(draw.uniform(0, strength.noise) * 2 * draw.either(0.4))
    level = level * (1 + noise * draw.normal(*level.shape[1:]))
    level = level * _draw_depth_gain(level, draw, strength)
    hidden, striped = draw.either(strength.hide), draw.either(0.5)
    level = torch.where(_wide(hidden & striped), level * _draw_stripe(level, draw), level)
    level = torch.where(_wide(hidden & ~striped) & _draw_box(level, draw), 0.0, level)
    return level.clamp(0, 255).floor()


def _wide(each: Tensor) -> Tensor:
    return each[:, None, None, None]


def _change_greys(level: Tensor, draw: _Draw, strength: Strength) -> Tensor:
    """Gamma, contrast about the middle, floor and gain: `augmentation`'s grey map."""
    gamma = torch.exp(draw.uniform(-strength.gamma, strength.gamma))
    x = (level / 255) ** _wide(gamma)
    contrast = draw.uniform(-strength.contrast, strength.contrast)
    x = x + _wide(contrast) * (x * x * (3 - 2 * x) - x)
    floor = _wide(draw.uniform(0, strength.floor))
    gain = _wide(1 + draw.uniform(-strength.gain, strength.gain))
    return (255 * (x - floor) / (1 - floor) * gain).clamp(0, 255).floor()


def _coarsen(level: Tensor) -> Tensor:
    """Lower resolutions, one for each quarter of the batch."""
    side = level.shape[-1]
    parts = []
    for part, share in zip(level.chunk(4), (0.5, 0.6, 0.7, 0.83), strict=False):
        small = functional.interpolate(part, size=(int(side * share),) * 2, mode="area")
        parts.append(functional.interpolate(small, size=(side, side), mode="bilinear"))
    return torch.cat(parts)


def _blur(level: Tensor, draw: _Draw) -> Tensor:
    """A Gaussian whose width is drawn for each view, as a mixture of a narrow and a wide one."""
    away = torch.arange(-4.0, 5.0, device=level.device)
    found = []
    for sigma in (0.4, 1.1):
        kernel = torch.exp(-0.5 * (away / sigma) ** 2)
        kernel = kernel / kernel.sum()
        padded = functional.pad(level, (4, 4, 4, 4), mode="reflect")
        rows = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
        found.append(functional.conv2d(rows, kernel.view(1, 1, -1, 1)))
    share = _wide(draw.uniform(0, 1))
    return found[0] * (1 - share) + found[1] * share


def _draw_depth_gain(level: Tensor, draw: _Draw, strength: Strength) -> Tensor:
    """Return (B, 1, L, L): the gain's slide along one direction, 1 where there is none."""
    along = torch.linspace(-1, 1, level.shape[-1], device=level.device)
    tilt, bend = (draw.uniform(-strength.depth, strength.depth)[:, None] for _ in range(2))
    gain = torch.exp(tilt * along + bend * (along**2 - 1 / 3))
    gain = torch.where(draw.either(0.4)[:, None], gain, 1.0)
    down = _wide(draw.either(0.7))
    return torch.where(down, gain[:, None, :, None], gain[:, None, None, :])


def _draw_stripe(level: Tensor, draw: _Draw) -> Tensor:
    """Return (B, 1, 1, L): a shadow from above."""
    side = level.shape[-1]
    along = torch.arange(side, device=level.device)
    wide, at = draw.uniform(0.02, 0.1)[:, None] * side, draw.uniform(0, side)[:, None]
    fall = draw.uniform(0.2, 0.8)[:, None] * torch.exp(-(((along - at) / wide) ** 2))
    return (1 - fall)[:, None, None, :]


def _draw_box(level: Tensor, draw: _Draw) -> Tensor:
    """Return (B, 1, L, L) bool: a box such as letters are blacked out with."""
    side = level.shape[-1]
    along = torch.arange(side, device=level.device)

    def span() -> Tensor:
        long = draw.uniform(0.05, 0.2)[:, None] * side
        first = draw.uniform(0, 1)[:, None] * (side - long)
        return (along >= first) & (along < first + long)

    return (span()[:, :, None] & span()[:, None, :])[:, None]
