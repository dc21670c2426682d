"""The vision transformer, with timm's parameter names.

Dosovitskiy et al. 2021 (arXiv 2010.11929) as timm's `vit_*_patch16` have it, with `global_pool`
"avg" and the norm before the mean: tokens are normalised, averaged, and judged by one linear layer.
So a class map is one linear layer on each token. Masked autoencoders in Facebook's layout have the
same names, so their encoders load by name.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurosono.engine.contracts.architecture import (
    HEAD_CHANNELS,
    PATCH_PX,
    TRANSFORMERS,
    check_architecture,
)
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.networks.base import Network

NORM_EPSILON = 1e-6
"""timm's and MAE's."""

MLP_RATIO = 4

EARLY_BLOCKS = (2, 5)
"""After these blocks of twelve, counted from 0, tokens still see how the picture was made."""

_SPREAD = 0.02
"""Standard deviation of the first weights (timm's)."""


class Attention(nn.Module):
    """Every token looks at every token."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        parts = self.qkv(x).unflatten(2, (3, self.heads, HEAD_CHANNELS))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, N, 64) each
        x = nn.functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return mixed


class Mlp(nn.Module):
    """Two dense layers on each token by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, MLP_RATIO * channels)
        self.fc2 = nn.Linear(MLP_RATIO * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        mixed: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return mixed


class Block(nn.Module):
    """Attention and dense layers, each on normalised tokens and added to them."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, NORM_EPSILON)
        self.attn = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, NORM_EPSILON)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed


class PatchEmbed(nn.Module):
    """Squares of the picture as tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH_PX, PATCH_PX)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, D, S / 16, S / 16)."""
        patches: Tensor = self.proj(x)
        return patches


class VisionTransformer(Network):
    """One member. `width` scales the number of attention heads, each of 64 channels."""

    head_name = "head"

    def __init__(
        self, architecture: str, classes: int, width: float = 1.0, size_px: int = 224
    ) -> None:
        super().__init__(classes, width)
        size = TRANSFORMERS[check_architecture(architecture)]
        heads = round(size.heads * width)
        if heads < 1 or size_px % PATCH_PX:
            raise InputError(
                f"{architecture} needs a width of {1 / size.heads:.2f} or more and pictures of a "
                f"multiple of {PATCH_PX} px: {width}, {size_px}"
            )
        self.architecture = architecture
        self.channels, self.heads = heads * HEAD_CHANNELS, heads
        self.cells = size_px // PATCH_PX
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.channels))
        self.pos_embed = nn.Parameter(wave_positions(self.cells, self.channels))
        self.patch_embed = PatchEmbed(self.channels)
        self.blocks = nn.ModuleList(Block(self.channels, heads) for _ in range(size.depth))
        self.norm = nn.LayerNorm(self.channels, NORM_EPSILON)
        self.head = nn.Linear(self.channels, classes)
        self.apply(initialise)
        nn.init.normal_(self.cls_token, std=_SPREAD)

    def embed(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> (B, N, D), each patch with its place, without the class's."""
        patches: Tensor = self.patch_embed(x)
        places: Tensor = self.pos_embed
        if (cells := self.cells_of(x)) != self.cells:
            places = stretch_positions(places, cells)
        return patches.flatten(2).transpose(1, 2) + places[:, 1:]

    def cells_of(self, x: Tensor) -> int:
        """Return how many patches stand in a row; a graph is only made for the network's own size.

        Raises `InputError` where a picture is not a whole number of patches.
        """
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return self.cells
        if x.shape[-1] % PATCH_PX:
            raise InputError(f"pictures must be a multiple of {PATCH_PX} px, found {x.shape[-1]}")
        return x.shape[-1] // PATCH_PX

    def with_class(self, tokens: Tensor) -> Tensor:
        """(B, N, D) -> (B, 1 + N, D): the class token first, as timm and MAE have it."""
        first = (self.cls_token + self.pos_embed[:, :1]).expand(tokens.shape[0], -1, -1)
        return torch.cat([first, tokens], 1)

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) normalised -> maps (B, D, S / 16, S / 16): of `EARLY_BLOCKS`, and the end.

        The last one is of normalised tokens.
        """
        cells = self.cells_of(x)
        tokens = self.with_class(self.embed(x))
        maps = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in EARLY_BLOCKS:
                maps.append(_as_map(tokens, cells))
        return [*maps, _as_map(self.norm(tokens), cells)]

    def early_features(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return of each stage the means of what is above 0 and of what is below it."""
        found = []
        for stage in stages:
            found += [torch.relu(stage).mean((2, 3)), torch.relu(-stage).mean((2, 3))]
        return found


def _as_map(tokens: Tensor, cells: int) -> Tensor:
    """(B, 1 + N, D) -> (B, D, cells, cells)."""
    rows = tokens[:, 1:].transpose(1, 2)
    return rows.reshape(rows.shape[0], rows.shape[1], cells, cells)


def stretch_positions(positions: Tensor, cells: int) -> Tensor:
    """(1, 1 + n * n, D) -> (1, 1 + cells * cells, D): a grid of places for another size."""
    grid = math.isqrt(positions.shape[1] - 1)
    places = positions[:, 1:].transpose(1, 2).reshape(1, -1, grid, grid)
    places = nn.functional.interpolate(
        places, size=(cells, cells), mode="bicubic", align_corners=False, antialias=cells < grid
    )
    return torch.cat([positions[:, :1], places.flatten(2).transpose(1, 2)], 1)


def wave_positions(cells: int, channels: int) -> Tensor:
    """Return MAE's places (1, 1 + cells * cells, channels): sines and cosines of x, then of y.

    He et al. 2022 (arXiv 2111.06377); the class token's is 0.
    """
    steps = torch.arange(channels // 4, dtype=torch.float64) / (channels // 4)
    rates = 1 / 10000**steps
    line = torch.arange(cells, dtype=torch.float64)[:, None] * rates
    waves = torch.cat([line.sin(), line.cos()], 1)  # (cells, D / 2)
    x, y = waves.repeat(cells, 1), waves.repeat_interleave(cells, 0)
    places = torch.cat([x, y], 1).float()
    return torch.cat([torch.zeros(1, channels), places])[None]


def initialise(module: nn.Module) -> None:
    """Draw the first weights as MAE does: dense ones from Xavier's range, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, PatchEmbed):
        nn.init.xavier_uniform_(module.proj.weight.view(len(module.proj.weight), -1))
