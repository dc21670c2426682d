"""The detector: ResNet blocks, a small pyramid, FCOS's answers, a plane, a map of the head.

Dense 3x3 convolutions, ReLU and nothing that a runtime might lack. Residual blocks are He et al.
2016 (arXiv 1512.03385), the pyramid Lin et al. 2017 (arXiv 1612.03144), the answers Tian et al.
2019 (FCOS, arXiv 1904.01355), with an angle for each box. The finest level has a narrow tower of
its own; the plane is told from where things are, not only from what there is on the average.
2.2 million parameters, 0.5 thousand million multiplications for a look of 192 px.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosono.engine.network import ResidualBlock
from neurosono.engine.structures.answer import COARSEST_PX, LEVEL_MEAN, LEVEL_STD, STRIDES_PX
from neurosono.engine.structures.names import PLANES, STRUCTURES

STEM = 24
CHANNELS = (32, 64, 128, 160)
"""Of the stages at stride 4, 8, 16 and 32."""
BLOCKS = (1, 2, 2, 2)
PYRAMID = 64
NARROW = 48
"""Of the finest level's tower: there are four times as many places."""
HEAD_MAP = 32
PLANE_MAP = 64
SIDES, TURNS = 4, 2
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
        if self.generator.device != x.device:  # numbers drawn elsewhere would have to be fetched
            seed = self.generator.initial_seed()
            self.generator = torch.Generator(x.device).manual_seed(seed)
        drawn = torch.rand(x.shape, generator=self.generator, device=x.device)
        return x * (drawn >= self.share) / (1 - self.share)


class Detector(nn.Module):
    """Finds structures, names the plane and outlines the head of grey squares.

    `labels` are what its boxes are of, in pictures of `look_px`.
    """

    def __init__(self, look_px: int, labels: tuple[str, ...] = STRUCTURES) -> None:
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
        self.smooth = nn.ModuleList(_conv(PYRAMID, PYRAMID) for _ in STRIDES_PX[1:])
        self.class_tower = nn.Sequential(_conv(PYRAMID, PYRAMID), _conv(PYRAMID, PYRAMID))
        self.box_tower = nn.Sequential(_conv(PYRAMID, PYRAMID), _conv(PYRAMID, PYRAMID))
        self.classes = nn.Conv2d(PYRAMID, len(labels), 3, 1, 1)
        self.centreness = nn.Conv2d(PYRAMID, 1, 3, 1, 1)
        self.sides = nn.Conv2d(PYRAMID, SIDES, 3, 1, 1)
        self.turns = nn.Conv2d(PYRAMID, TURNS, 3, 1, 1)
        self.narrow = nn.Conv2d(CHANNELS[0], NARROW, 1)
        self.lowered = nn.Conv2d(PYRAMID, NARROW, 1)
        self.finest = nn.Sequential(
            _conv(NARROW, NARROW),
            _conv(NARROW, NARROW),
            nn.Conv2d(NARROW, len(labels) + 1 + SIDES + TURNS, 3, 1, 1),
        )
        self.fine = nn.Conv2d(CHANNELS[0], HEAD_MAP, 1)
        self.coarse = nn.Conv2d(PYRAMID, HEAD_MAP, 1)
        self.head = nn.Sequential(_conv(HEAD_MAP, HEAD_MAP), nn.Conv2d(HEAD_MAP, 1, 3, 1, 1))
        self.planes = nn.Sequential(
            SeededDropout(0.2), nn.Conv2d(CHANNELS[-1] + PYRAMID, len(PLANES), 1)
        )
        self.shapes = nn.Sequential(_conv(PYRAMID, PLANE_MAP, 2), _conv(PLANE_MAP, PLANE_MAP, 2))
        self.depths = nn.Sequential(
            nn.Conv2d(CHANNELS[-1], PLANE_MAP, 1, bias=False), nn.BatchNorm2d(PLANE_MAP), nn.ReLU()
        )
        self.layout = nn.Sequential(  # a weight for each place of the map
            SeededDropout(0.3), nn.Conv2d(2 * PLANE_MAP, len(PLANES), look_px // COARSEST_PX)
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
            rare = math.log(RARE / (1 - RARE))
            assert self.classes.bias is not None
            assert self.sides.bias is not None
            self.classes.bias.fill_(rare)
            # Two strides each way: about what is asked for, so that no ReLU starts dead.
            self.sides.bias.fill_(2.0)
            end = self.finest[-1]
            assert isinstance(end, nn.Conv2d)
            assert end.bias is not None
            classes, _, sides, _ = self._split(end.bias[None, :, None, None])
            classes.fill_(rare)
            sides.fill_(2.0)

    def _ends(self) -> list[nn.Conv2d]:
        ends = (self.head, self.planes, self.layout, self.finest)
        return [each[-1] for each in ends if isinstance(each[-1], nn.Conv2d)]

    def look(self, grey: Tensor) -> Raw:
        """(B, 1, S, S) levels 0 to 255 -> what stands in the picture, before any squashing."""
        x = self.stem((grey - LEVEL_MEAN) / LEVEL_STD)
        stages = []
        for stage in self.stages:
            x = stage(x)
            stages.append(x)  # (B, 32, S/4), (B, 64, S/8), (B, 128, S/16), (B, 160, S/32)
        levels = [lateral(each) for lateral, each in zip(self.laterals, stages[1:], strict=True)]
        for k in (1, 0):
            levels[k] = levels[k] + _grow(levels[k + 1])
        levels = [smooth(level) for smooth, level in zip(self.smooth, levels[:2], strict=True)]
        fine = self.fine(stages[0]) + _grow(self.coarse(levels[0]))
        finest = functional.relu(self.narrow(stages[0]) + _grow(self.lowered(levels[0])))
        answers = [self._split(self.finest(finest)), *(self._answer(level) for level in levels)]
        classes, centreness, sides, turns = (_rows(each) for each in zip(*answers, strict=True))
        return Raw(
            classes=classes,
            centreness=centreness[..., 0],
            sides=functional.relu(sides),
            turns=turns,
            planes=self._tell_plane(x, levels[0]),
            head=self.head(functional.relu(fine))[:, 0],
        )

    def _answer(self, level: Tensor) -> tuple[Tensor, ...]:
        classes, boxes = self.class_tower(level), self.box_tower(level)
        return self.classes(classes), self.centreness(boxes), self.sides(boxes), self.turns(boxes)

    def _split(self, found: Tensor) -> tuple[Tensor, ...]:
        """(B, K, h, w) -> classes, centre-ness, sides and turns, as parts of the same memory."""
        return torch.split(found, [len(self.labels), 1, SIDES, TURNS], 1)

    def _tell_plane(self, deep: Tensor, level: Tensor) -> Tensor:
        """(B, 160, S/32) and (B, 64, S/8) -> (B, P): what there is, and where it is."""
        pooled = torch.cat([deep.mean((2, 3), keepdim=True), level.mean((2, 3), keepdim=True)], 1)
        places = torch.cat([self.depths(deep), self.shapes(level)], 1)
        places = places / places.shape[-1] ** 2  # a mean over places, too: one step moves it as far
        found: Tensor = self.planes(pooled) + self.layout(places)
        return found.flatten(1)

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


def _grow(level: Tensor) -> Tensor:
    return functional.interpolate(level, scale_factor=2.0)


def _rows(levels: Sequence[Tensor]) -> Tensor:
    """(B, K, h, w) of each level -> (B, N, K), level by level, row by row."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)
