"""The masked autoencoder: most of a picture is hidden, and drawn again from the rest.

He et al. 2022 (arXiv 2111.06377), with the names of Facebook's code. The encoder is our transformer
itself, so what it learns is a member's start; the decoder is thrown away.
"""

import torch
from torch import Tensor, nn

from neurosono.engine.contracts.architecture import (
    HEAD_CHANNELS,
    PATCH_PX,
    VIT_B,
    VIT_S,
    VIT_TI,
)
from neurosono.engine.networks.transformer import (
    NORM_EPSILON,
    Block,
    VisionTransformer,
    initialise,
    wave_positions,
)
from neurosono.training.pretrain.data import send

DECODERS = {VIT_TI: (128, 2), VIT_S: (256, 4), VIT_B: (512, 8)}
"""Channels and blocks of the decoder: MAE's for ViT-B, smaller ones (ours) for smaller encoders."""

_EVEN = 1e-6
"""Added to a patch's variance: an even one has none."""


class MaskedAutoencoder(VisionTransformer):
    """A transformer with a decoder; `decoder_blocks` have heads of 64 channels."""

    def __init__(self, architecture: str, width: float, size_px: int, masked: float) -> None:
        super().__init__(architecture, 2, width, size_px)
        channels, depth = DECODERS[architecture]
        self.masked = masked
        self.decoder_embed = nn.Linear(self.channels, channels)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.decoder_pos_embed = nn.Parameter(wave_positions(self.cells, channels))
        self.decoder_blocks = nn.ModuleList(
            Block(channels, channels // HEAD_CHANNELS) for _ in range(depth)
        )
        self.decoder_norm = nn.LayerNorm(channels, NORM_EPSILON)
        self.decoder_pred = nn.Linear(channels, PATCH_PX**2)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)
        for places in (self.pos_embed, self.decoder_pos_embed):
            places.requires_grad_(False)  # sines, as in MAE

    def encoder_state(self) -> dict[str, Tensor]:
        """Return what a member starts from, by its names; no decoder, no last layer."""
        theirs = ("decoder", "mask_token", f"{self.head_name}.")
        return {
            name: value.detach().cpu().clone().contiguous()
            for name, value in self.state_dict().items()
            if not name.startswith(theirs)
        }

    def draw(self, x: Tensor, kept: Tensor) -> Tensor:
        """Draw pictures (B, 3, S, S) again from patches `kept` (B, k): (B, N, 256)."""
        tokens = self.embed(x)
        seen = self.with_class(torch.gather(tokens, 1, _spread(kept, tokens.shape[2])))
        for block in self.blocks:
            seen = block(seen)
        seen = self.decoder_embed(self.norm(seen))
        every = self.mask_token.expand(len(x), tokens.shape[1], -1).to(seen.dtype)
        every = every.scatter(1, _spread(kept, seen.shape[2]), seen[:, 1:])
        every = torch.cat([seen[:, :1], every], 1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            every = block(every)
        drawn: Tensor = self.decoder_pred(self.decoder_norm(every))[:, 1:]
        return drawn

    def loss(self, grey: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean square error over masked patches, each patch's pixels normalised.

        `grey` (B, 1, S, S) is what must be drawn, `x` (B, 3, S, S) the same as the network sees it.
        """
        count = self.cells**2
        kept_count = max(1, round(count * (1 - self.masked)))
        order = send(torch.rand(len(x), count, generator=generator).argsort(1), x.device)
        kept, hidden = order[:, :kept_count], order[:, kept_count:]
        drawn = self.draw(x, kept).float()
        target = normalise_patches(grey)
        error = ((drawn - target) ** 2).mean(2)
        return torch.gather(error, 1, hidden).mean()


def normalise_patches(grey: Tensor) -> Tensor:
    """(B, 1, S, S) -> (B, N, 256) float32; each patch has mean 0 and variance 1."""
    patches = nn.functional.unfold(grey.float(), PATCH_PX, stride=PATCH_PX).transpose(1, 2)
    spread, mean = torch.var_mean(patches / 255, 2, keepdim=True)
    return (patches / 255 - mean) / (spread + _EVEN).sqrt()


def _spread(rows: Tensor, channels: int) -> Tensor:
    return rows[:, :, None].expand(-1, -1, channels)
