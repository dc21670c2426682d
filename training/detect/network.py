"""The detector: ResNet blocks, a small pyramid, FCOS's answers, a plane, a map of the head.

Dense 3x3 convolutions, ReLU and nothing that a runtime might lack. Residual blocks are He et al.
2016 (arXiv 1512.03385), the pyramid Lin et al. 2017 (arXiv 1612.03144), the answers Tian et al.
2019 (FCOS, arXiv 1904.01355), with an angle for each box. 1.9 million parameters, 1.2 thousand
million multiplications for a picture of 320 px.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosono.engine.network import ResidualBlock
from neurosono.engine.structures.graph import LEVEL_MEAN, LEVEL_STD
from neurosono.engine.structures.names import PLANES, STRUCTURES

STEM = 24
CHANNELS = (32, 64, 128, 160)
"""Of the stages at stride 4, 8, 16 and 32."""
BLOCKS = (1, 2, 2, 2)
PYRAMID = 64
HEAD_MAP = 32
RARE = 0.01
"""What a class's score is before training: nearly all locations show nothing (Lin et al. 2017)."""


@dataclass(frozen=True)
class Raw:
    """A batch's answers before any squashing: (B, N, C), (B, N), (B, N, 4), (B, N, 2), ...

    `planes` (B, P) and `head` (B, h, w) are logits too; `sides` are 0 or more.
    """

    classes: Tensor
    centreness: Tensor
    sides: Tensor
    turns: Tensor
    planes: Tensor
    head: Tensor


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class SeededDropout(nn.Module):
    """Dropout that draws from a generator of its own, so that threads do not mix theirs."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.generator = share, torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, ...) with a share of its numbers at 0 while learning, the others grown."""
        if not self.training:
            return x
        drawn = torch.rand(x.shape, generator=self.generator).to(x.device)
        return x * (drawn >= self.share) / (1 - self.share)


class Detector(nn.Module):
    """Finds structures, names the plane and outlines the head of grey squares.

    `labels` are what its boxes are of.
    """

    def __init__(self, labels: tuple[str, ...] = STRUCTURES) -> None:
        super().__init__()
        self.labels = labels
        self.stem = _conv(1, STEM, 2)
        stages, before = [], STEM
        for channels, blocks in zip(CHANNELS, BLOCKS, strict=True):
            first = ResidualBlock(before, channels, 2)
            rest = [ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            before = channels
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(c, PYRAMID, 1) for c in CHANNELS[1:])
        self.smooth = nn.ModuleList(_conv(PYRAMID, PYRAMID) for _ in CHANNELS[1:])
        self.class_tower = nn.Sequential(_conv(PYRAMID, PYRAMID), _conv(PYRAMID, PYRAMID))
        self.box_tower = nn.Sequential(_conv(PYRAMID, PYRAMID), _conv(PYRAMID, PYRAMID))
        self.classes = nn.Conv2d(PYRAMID, len(labels), 3, 1, 1)
        self.centreness = nn.Conv2d(PYRAMID, 1, 3, 1, 1)
        self.sides = nn.Conv2d(PYRAMID, 4, 3, 1, 1)
        self.turns = nn.Conv2d(PYRAMID, 2, 3, 1, 1)
        self.fine = nn.Conv2d(CHANNELS[0], HEAD_MAP, 1)
        self.coarse = nn.Conv2d(PYRAMID, HEAD_MAP, 1)
        self.head = nn.Sequential(_conv(HEAD_MAP, HEAD_MAP), nn.Conv2d(HEAD_MAP, 1, 3, 1, 1))
        self.planes = nn.Sequential(
            SeededDropout(0.2), nn.Conv2d(CHANNELS[-1] + PYRAMID, len(PLANES), 1)
        )
        self._initialise()

    def seed(self, seed: int) -> None:
        """Make what is left out while learning follow from `seed`."""
        for module in self.modules():
            if isinstance(module, SeededDropout):
                module.generator.manual_seed(seed)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.bn2.weight)  # a block begins as its shortcut
        for last in (self.classes, self.centreness, self.sides, self.turns, *self._ends()):
            nn.init.normal_(last.weight, std=0.01)
        with torch.no_grad():
            assert self.classes.bias is not None
            assert self.sides.bias is not None
            self.classes.bias.fill_(math.log(RARE / (1 - RARE)))
            # Two strides each way: about what is asked for, so that no ReLU starts dead.
            self.sides.bias.fill_(2.0)

    def _ends(self) -> list[nn.Conv2d]:
        return [each[-1] for each in (self.head, self.planes) if isinstance(each[-1], nn.Conv2d)]

    def look(self, grey: Tensor) -> Raw:
        """(B, 1, S, S) levels 0 to 255 -> what stands in the picture, before any squashing."""
        x = self.stem((grey - LEVEL_MEAN) / LEVEL_STD)
        stages = []
        for stage in self.stages:
            x = stage(x)
            stages.append(x)  # (B, 32, S/4), (B, 64, S/8), (B, 128, S/16), (B, 160, S/32)
        levels = [lateral(each) for lateral, each in zip(self.laterals, stages[1:], strict=True)]
        for k in (1, 0):
            levels[k] = levels[k] + functional.interpolate(levels[k + 1], scale_factor=2.0)
        levels = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]
        fine = self.fine(stages[0]) + functional.interpolate(
            self.coarse(levels[0]), scale_factor=2.0
        )
        pooled = torch.cat([x.mean((2, 3), keepdim=True), levels[0].mean((2, 3), keepdim=True)], 1)
        classes = [self.class_tower(level) for level in levels]
        boxes = [self.box_tower(level) for level in levels]
        return Raw(
            classes=_rows([self.classes(each) for each in classes]),
            centreness=_rows([self.centreness(each) for each in boxes])[..., 0],
            sides=_rows([functional.relu(self.sides(each)) for each in boxes]),
            turns=_rows([self.turns(each) for each in boxes]),
            planes=self.planes(pooled).flatten(1),
            head=self.head(functional.relu(fine))[:, 0],
        )

    def forward(self, grey: Tensor) -> tuple[Tensor, ...]:
        """(B, 1, S, S) uint8 -> the outputs of `engine.structures.answer`, in their order.

        This is what is exported.
        """
        raw = self.look(grey.float())
        return (
            torch.sigmoid(raw.classes),
            torch.sigmoid(raw.centreness),
            raw.sides,
            raw.turns,
            torch.softmax(raw.planes, 1),
            raw.head,
        )


def _rows(levels: list[Tensor]) -> Tensor:
    """(B, K, h, w) of each level -> (B, N, K), level by level, row by row."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)
