"""The flow finder's network: 16 thousand weights, looking at a picture of 256 pixels."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Pixels, along each side, for one answer."""


def _step(into: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


class FlowNetwork(nn.Module):
    """From `(n, 3, h, w)` BGR float32, 0 to 255, to chances of flow, `(n, 1, h/4, w/4)`."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_step(3, 8, 2), _step(8, 12, 2), _step(12, 12))
        self.coarse = nn.Sequential(_step(12, 16, 2), _step(16, 16))
        self.whole = nn.Sequential(_step(16, 24, 2), _step(24, 24))
        self.from_whole = nn.Conv2d(24, 16, 1)
        self.from_coarse = nn.Conv2d(16, 12, 1)
        self.answer = nn.Conv2d(12, 1, 1)

    def logits(self, colours: Tensor) -> Tensor:
        """Return the answers before the sigmoid."""
        fine = self.fine(colours * (1 / 128) - 0.5)
        coarse = self.coarse(fine)
        coarse = functional.relu(coarse + _double(self.from_whole(self.whole(coarse))))
        fine = functional.relu(fine + _double(self.from_coarse(coarse)))
        return cast(Tensor, self.answer(fine))

    def forward(self, colours: Tensor) -> Tensor:
        """Return the chances, 0 to 1."""
        return torch.sigmoid(self.logits(colours))


def _double(levels: Tensor) -> Tensor:
    return functional.interpolate(levels, scale_factor=2.0, mode="nearest")
