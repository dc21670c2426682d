"""ResNet34 and ResNet50.

The residual networks are He et al. 2016 (arXiv 1512.03385), table 1, with the parameter names of
torchvision's, so that its ImageNet weights load by name. They are written out here because
torchvision's constructor cannot make them narrower.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurosono.engine.contracts.architecture import FULL_CHANNELS, RESNET34, RESNET50
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.networks.base import Network, means_and_peaks

BLOCKS = (3, 4, 6, 3)
"""Residual blocks a stage: what makes it 34 layers, or 50."""

WINDOWS = (8, 4, 2)
"""Sides of the windows in which the first three stages' strongest answers are taken: each is as
large as one cell of the last stage."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (torchvision's BasicBlock)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return torch.relu(x + shortcut)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two of 1x1, and a shortcut (torchvision's Bottleneck)."""

    EXPANSION = 4

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        inner = channels_out // self.EXPANSION
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return torch.relu(x + shortcut)


class ResNet(Network):
    """One member. `width` scales every layer's channels: 1.0 is the published network."""

    head_name = "fc"
    block: type[ResidualBlock] | type[Bottleneck]
    expansion: int
    """Channels that leave a stage, as multiples of those inside its blocks."""

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__(classes, width)
        first = round(FULL_CHANNELS * width)
        if first < 8:
            raise InputError(f"a network needs width >= 0.125: {width}")
        self.channels = first * 8 * self.expansion
        self.conv1 = nn.Conv2d(3, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = []
        channels_in = first
        for stage, blocks in enumerate(BLOCKS):
            channels, stride = first * 2**stage * self.expansion, 1 if stage == 0 else 2
            stages.append(_make_stage(self.block, channels_in, channels, blocks, stride))
            channels_in = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(self.channels, classes)
        self.apply(initialise)

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) normalised -> the maps of the four stages, S / 4 to S / 32 a side."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def early_features(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return means and peaks of the first three stages: with the last, 22 times the channels
        of the first.
        """
        return means_and_peaks(stages, WINDOWS)


class ResNet34(ResNet):
    """The paper's network."""

    architecture, block, expansion = RESNET34, ResidualBlock, 1


class ResNet50(ResNet):
    """Blocks of three convolutions, and four times the channels between them."""

    architecture, block, expansion = RESNET50, Bottleneck, Bottleneck.EXPANSION


def _make_stage(
    block: type[ResidualBlock] | type[Bottleneck],
    channels_in: int,
    channels: int,
    blocks: int,
    stride: int,
) -> nn.Sequential:
    first = block(channels_in, channels, stride)
    return nn.Sequential(first, *(block(channels, channels, 1) for _ in range(blocks - 1)))


def initialise(module: nn.Module) -> None:
    """Draw a convolution's first weights (torchvision's way)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
