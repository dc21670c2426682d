"""ResNet34, and an ensemble of it as one graph.

The residual network is He et al. 2016 (arXiv 1512.03385), table 1, 34 layers, with the parameter
names of torchvision's `resnet34`, so that its ImageNet weights load by name. It is written out here
because torchvision's constructor cannot make it narrower.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec

BLOCKS = (3, 4, 6, 3)
"""Residual blocks a stage: what makes it 34 layers."""

FULL_CHANNELS = 64
"""Channels of the first stage at width 1; each stage doubles them."""

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


class ResNet34(nn.Module):
    """One member. `width` scales every layer's channels: 1.0 is the paper's network."""

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        first = round(FULL_CHANNELS * width)
        if classes < 2 or first < 8:
            raise InputError(f"need 2 or more classes and width >= 0.125: {classes}, {width}")
        self.classes, self.width, self.channels = classes, width, first * 8
        self.conv1 = nn.Conv2d(3, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = []
        channels_in = first
        for stage, blocks in enumerate(BLOCKS):
            channels, stride = first * 2**stage, 1 if stage == 0 else 2
            stages.append(_make_stage(channels_in, channels, blocks, stride))
            channels_in = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(self.channels, classes)
        self.apply(_initialise)

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) normalised -> the maps of the four stages, S / 4 to S / 32 a side."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def feature_maps(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> (B, K, S / 32, S / 32), the last convolutional features."""
        return self.stage_maps(x)[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> (B, C) logits."""
        logits: Tensor = self.fc(self.feature_maps(x).mean((2, 3)))
        return logits

    def explain(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, C), class activation maps (B, C, h, w) and features (B, F).

        The features are, of each of the first three stages, its channels' means and the means of
        their strongest answers in `WINDOWS`, and then the penultimate layer's: F is 22 times the
        first stage's channels. The last stage sees what tells the classes apart, the first ones see
        how the picture was made.

        The maps are sum_k w_ck A_k, before the ReLU. For global average pooling followed by one
        linear layer their ReLU is Grad-CAM on `layer4[-1]` up to a positive constant (Selvaraju et
        al. 2017, arXiv 1610.02391, section 3.1), and their mean plus the bias is the logit.
        """
        *early, maps = self.stage_maps(x)  # (B, K, h, w)
        features = []
        for stage, window in zip(early, WINDOWS, strict=True):
            peaks = nn.functional.max_pool2d(stage, window)
            features += [stage.mean((2, 3)), peaks.mean((2, 3))]
        pooled = maps.mean((2, 3), keepdim=True)  # (B, K, 1, 1)
        weight = self.fc.weight[:, :, None, None]
        cams = nn.functional.conv2d(maps, weight)  # (B, C, h, w)
        # `fc` as a 1x1 convolution: TensorRT for RTX has no float32 matrix product on Turing
        logits = nn.functional.conv2d(pooled, weight, self.fc.bias)  # (B, C, 1, 1)
        return logits.flatten(1), cams, torch.cat([*features, pooled.flatten(1)], 1)


def _make_stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(channels_in, channels, stride)
    return nn.Sequential(first, *(ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def answer(member: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return one member's part of `Ensemble.forward`, of x (B, 3, S, S) as `normalise` gives it."""
    logits, cams, features = cast(ResNet34, member).explain(x)
    probabilities = torch.softmax(logits.float(), 1)
    return probabilities.unsqueeze(1), cams.float().unsqueeze(1), features.float().unsqueeze(1)


class Ensemble(nn.Module):
    """M members on one input, as one graph; normalisation is inside, so uint8 goes in."""

    mean: Tensor
    std: Tensor

    def __init__(self, members: Sequence[ResNet34], spec: PreprocessingSpec) -> None:
        super().__init__()
        if not members or len({member.classes for member in members}) != 1:
            raise InputError("an ensemble needs one or more members of one class count")
        self.members = nn.ModuleList(members)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1) * 255)

    def cast(self, dtype: torch.dtype) -> "Ensemble":
        """Let the members compute in `dtype`; what goes in is still normalised in float32."""
        self.members.to(dtype)
        return self

    def normalise(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) uint8 -> (B, 3, S, S), the members' own dtype."""
        first = next(self.members.parameters())
        return ((grey.to(self.mean.dtype) - self.mean) / self.std).to(first.dtype)

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge a batch of grey pictures with every member.

        `grey` is (B, 1, S, S) uint8. Returns member probabilities (B, M, C), class activation maps
        before the ReLU (B, M, C, S / 32, S / 32) and features (B, M, F), all float32 whatever the
        members compute in.
        """
        x = self.normalise(grey)
        answers = [answer(member, x) for member in self.members]
        probabilities, cams, features = (torch.cat(each, 1) for each in zip(*answers, strict=True))
        return probabilities, cams, features
