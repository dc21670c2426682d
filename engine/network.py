"""An ensemble of networks as one graph."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.networks.base import Network
from neurosono.engine.networks.resnet import ResidualBlock as ResidualBlock
from neurosono.engine.networks.resnet import ResNet34 as ResNet34


def answer(member: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return one member's part of `Ensemble.forward`, of x (B, 3, S, S) as `normalise` gives it."""
    logits, cams, features = cast(Network, member).explain(x)
    probabilities = torch.softmax(logits.float(), 1)
    return probabilities.unsqueeze(1), cams.float().unsqueeze(1), features.float().unsqueeze(1)


class Ensemble(nn.Module):
    """M members on one input, as one graph; normalisation is inside, so uint8 goes in."""

    mean: Tensor
    std: Tensor

    def __init__(self, members: Sequence[Network], spec: PreprocessingSpec) -> None:
        super().__init__()
        if not members or len({member.classes for member in members}) != 1:
            raise InputError("an ensemble needs one or more members of one class count")
        if len({member.architecture for member in members}) != 1:
            raise InputError("an ensemble needs members of one architecture")
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
        before the ReLU (B, M, C, S / 32, S / 32; of a transformer S / 16) and features (B, M, F),
        all float32 whatever the members compute in.
        """
        x = self.normalise(grey)
        answers = [answer(member, x) for member in self.members]
        probabilities, cams, features = (torch.cat(each, 1) for each in zip(*answers, strict=True))
        return probabilities, cams, features
