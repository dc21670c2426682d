"""The gate's network: one narrow residual net with three answers, on half the engine's resolution.

He et al. 2016 (arXiv 1512.03385), basic blocks, ten convolutions: 0.35 million parameters and 44
million multiplications a frame, under a hundredth of one member at width 1.
"""

import torch
from torch import Tensor, nn

from neurosono.engine.network import ResidualBlock

CHANNELS = (24, 48, 96)
"""Of the three stages, at 28, 14 and 7 pixels for a 224 px square."""
STEM = 16
BLOCKS = 2
LEVEL_MEAN, LEVEL_STD = 40.0, 50.0
"""About the mean and spread of letterboxed squares; the exact numbers do not matter."""


class GateNetwork(nn.Module):
    """Score, planes and features of grey squares.

    The features are the mean of each stage's channels: the first stages see texture, the last one
    anatomy, and both are told of strange pictures (Lee et al. 2018, arXiv 1807.03888, section 2.3).
    """

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU()
        )
        stages, before = [], STEM
        for channels in CHANNELS:
            first = ResidualBlock(before, channels, 2)
            rest = [ResidualBlock(channels, channels, 1) for _ in range(BLOCKS - 1)]
            stages.append(nn.Sequential(first, *rest))
            before = channels
        self.stages = nn.ModuleList(stages)
        self.gate = nn.Linear(before, 1)
        self.planes = nn.Linear(before, planes)

    def look(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, s, s) float levels, already halved -> logits (B,), planes (B, P), features."""
        x = self.stem((grey - LEVEL_MEAN) / LEVEL_STD)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x.mean((2, 3)))
        last = features[-1]
        return self.gate(last)[:, 0], self.planes(last), torch.cat(features, 1)

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, S, S) uint8 -> score (B, 1) 0 to 1, planes (B, P) summing to 1, features (B, K).

        This is what is exported: the halving is part of the graph.
        """
        halved = nn.functional.avg_pool2d(grey.float(), 2)
        logit, planes, features = self.look(halved)
        return torch.sigmoid(logit)[:, None], torch.softmax(planes, 1), features
