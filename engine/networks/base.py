"""What every network of ours is: maps that are averaged, and one linear layer on their mean."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurosono.engine.contracts.errors import InputError


class Network(nn.Module, ABC):
    """One member of an ensemble.

    The last layer is linear and stands on the mean of maps, so class maps come exactly out of the
    graph: they are sum_k w_ck A_k, before the ReLU, and their mean plus the bias is the logit. For
    such a network their ReLU is Grad-CAM on the maps up to a positive constant (Selvaraju et al.
    2017, arXiv 1610.02391, section 3.1).
    """

    architecture: str
    head_name: str
    """The last layer's name: its classes are each bundle's own."""

    def __init__(self, classes: int, width: float) -> None:
        super().__init__()
        if classes < 2:
            raise InputError(f"a network tells 2 or more classes apart, found {classes}")
        self.classes, self.width = classes, width

    @property
    def last_layer(self) -> nn.Linear:
        """The layer that tells the classes apart."""
        found = getattr(self, self.head_name)
        assert isinstance(found, nn.Linear)
        return found

    @abstractmethod
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) normalised -> maps (B, K, h, w) of several stages, the last ones last."""

    @abstractmethod
    def early_features(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return (B, E) parts, none negative, of all stages but the last: how the picture looks."""

    def feature_maps(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> (B, K, h, w), what the last layer is a mean of."""
        return self.stage_maps(x)[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> (B, C) logits."""
        logits: Tensor = self.last_layer(self.feature_maps(x).mean((2, 3)))
        return logits

    def explain(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, C), class maps (B, C, h, w) and features (B, F).

        The features are `early_features`, which see how the picture was made, and then the means
        that the last layer stands on, which see what tells the classes apart.
        """
        *early, maps = self.stage_maps(x)
        pooled = maps.mean((2, 3), keepdim=True)  # (B, K, 1, 1)
        weight = self.last_layer.weight[:, :, None, None]
        cams = nn.functional.conv2d(maps, weight)  # (B, C, h, w)
        # the head as a 1x1 convolution: TensorRT for RTX has no float32 matrix product on Turing
        logits = nn.functional.conv2d(pooled, weight, self.last_layer.bias)  # (B, C, 1, 1)
        features = torch.cat([*self.early_features(early), pooled.flatten(1)], 1)
        return logits.flatten(1), cams, features


def means_and_peaks(stages: Sequence[Tensor], windows: Sequence[int]) -> list[Tensor]:
    """Return of each stage its channels' means, and the means of their strongest answers.

    The strongest answers are taken in windows of so many cells of its own.
    """
    found = []
    for stage, window in zip(stages, windows, strict=True):
        peaks = nn.functional.max_pool2d(stage, window)
        found += [stage.mean((2, 3)), peaks.mean((2, 3))]
    return found
