"""Members of one ensemble side by side: each layer of all of them is one step.

At one picture a time a GPU waits for starts of kernels, not for sums: M members one after the other
are M times 36 convolutions, each too small for it. The answers are the members' own, but for
rounding.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from neurosono.engine.networks.resnet import WINDOWS, ResidualBlock, ResNet34


class MemberConvolutions(nn.Module, ABC):
    """One layer of M members, batch norm folded in, and what follows it: a sum, a ReLU."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        """Take the layers' weights (M, Cout, Cin, k, k) and biases (M, Cout)."""
        super().__init__()
        self.members, first = len(layers), layers[0]
        (self.side, _), (self.stride, _) = first.kernel_size, first.stride
        self.padding = cast(tuple[int, int], first.padding)[0]
        self.register_buffer("weight", torch.stack([layer.weight.detach() for layer in layers]))
        biases = [cast(Tensor, layer.bias).detach() for layer in layers]
        self.register_buffer("bias", torch.stack(biases))

    @abstractmethod
    def forward(self, x: Tensor, shortcut: Tensor | None = None, *, relu: bool = True) -> Tensor:
        """Return the layer's maps, `shortcut` added before the ReLU.

        `x` is (1, 3, S, S), which all members see, or as this layer's kind returns maps.
        """

    @staticmethod
    @abstractmethod
    def split(maps: Tensor, members: int) -> Tensor:
        """Return maps as (M, C, h, w)."""


class GroupedConvolutions(MemberConvolutions):
    """The layer as one convolution in M groups; maps are (1, M C, h, w)."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__(layers)
        self.weight = self.weight.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        self.bias = self.bias.flatten()

    def forward(self, x: Tensor, shortcut: Tensor | None = None, *, relu: bool = True) -> Tensor:
        """Return (1, M Cout, h, w)."""
        groups = x.shape[1] // self.weight.shape[1]  # one where all members see one picture
        how = (self.stride,) * 2, (self.padding,) * 2, (1, 1), groups
        if x.is_cuda and relu:  # bias, sum and ReLU in the kernel that convolves
            if shortcut is None:
                return torch.cudnn_convolution_relu(x, self.weight, self.bias, *how)
            return torch.cudnn_convolution_add_relu(x, self.weight, shortcut, 1, self.bias, *how)
        maps = nn.functional.conv2d(x, self.weight, self.bias, *how)
        maps = maps if shortcut is None else maps + shortcut
        return torch.relu(maps) if relu else maps

    @staticmethod
    def split(maps: Tensor, members: int) -> Tensor:
        """Return maps as (M, C, h, w)."""
        return maps.reshape(members, -1, *maps.shape[2:])


Make = Callable[[Sequence[nn.Conv2d]], MemberConvolutions]


class _Block(nn.Module):
    """A residual block of M members."""

    def __init__(self, blocks: Sequence[ResidualBlock], make: Make) -> None:
        super().__init__()
        self.conv1 = make([block.conv1 for block in blocks])
        self.conv2 = make([block.conv2 for block in blocks])
        shortcuts = [block.downsample for block in blocks]
        self.shortcut = (
            None
            if shortcuts[0] is None
            else make([cast(nn.Conv2d, cast(nn.Sequential, each)[0]) for each in shortcuts])
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x, relu=False)
        maps: Tensor = self.conv2(self.conv1(x), shortcut)
        return maps


class MergedResNet34(nn.Module):
    """M members of ResNet34, batch norms folded, on one picture."""

    def __init__(self, members: Sequence[ResNet34], make: Make) -> None:
        """Take the members' weights; `make` makes one layer of all of them."""
        super().__init__()
        self.members = len(members)
        self.stem = make([member.conv1 for member in members])
        self.pool = members[0].maxpool
        stages = zip(*([m.layer1, m.layer2, m.layer3, m.layer4] for m in members), strict=True)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _Block([cast(ResidualBlock, block) for block in blocks], make)
                    for blocks in zip(*(cast(nn.Sequential, each) for each in stage), strict=True)
                )
            )
            for stage in stages
        )
        last = [member.last_layer for member in members]
        self.register_buffer("head", torch.stack([each.weight.detach() for each in last]))
        self.register_buffer("head_bias", torch.stack([each.bias.detach() for each in last]))

    head: Tensor
    head_bias: Tensor

    def follow(self, x: Tensor) -> Iterator[Tensor]:
        """(1, 3, S, S) normalised -> the maps of the four stages, each (M, C, h, w)."""
        x = self.pool(self.stem(x))
        for stage in self.stages:
            x = stage(x)
            yield self.stem.split(x, self.members)

    def notice(self, stage: int, maps: Tensor) -> list[Tensor]:
        """Return a stage's part of the features, (M, C) each, as `means_and_peaks` does."""
        peaks = nn.functional.max_pool2d(maps, WINDOWS[stage])
        return [maps.mean((2, 3)), peaks.mean((2, 3))]

    def conclude(self, maps: Tensor, early: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities (1, M, C), class maps (1, M, C, h, w) and features (1, M, F).

        `maps` are the last stage's (M, K, h, w), `early` what was noticed before it. All are
        float32, as `engine.network.Ensemble` gives them.
        """
        pooled = maps.mean((2, 3))  # (M, K)
        logits = torch.baddbmm(self.head_bias[:, :, None], self.head, pooled[:, :, None])
        cams = torch.bmm(self.head, maps.flatten(2)).view(*logits.shape[:2], *maps.shape[2:])
        probabilities = torch.softmax(logits.flatten(1).float(), 1)
        features = torch.cat([*early, pooled], 1).float()
        return probabilities[None], cams.float()[None], features[None]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, 3, S, S) normalised -> as `conclude` returns."""
        *before, last = self.follow(x)
        early = [part for number, maps in enumerate(before) for part in self.notice(number, maps)]
        return self.conclude(last, early)
