"""VGG-19 with batch norm, without its three dense layers.

Simonyan and Zisserman 2015 (arXiv 1409.1556), configuration E; the convolutions have torchvision's
names. Its dense layers hold 86 % of its weights and flatten the maps, so that no class map comes
out of them; here one linear layer stands on the maps' mean (ours), as in the other networks.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from neurosono.engine.contracts.architecture import FULL_CHANNELS, VGG19
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.networks.base import Network, means_and_peaks
from neurosono.engine.networks.resnet import initialise

STAGES = ((1, 2), (2, 2), (4, 4), (8, 4), (8, 4))
"""Of each stage its channels, as multiples of the first's, and its convolutions: 16, and 3 dense
layers, are the 19."""

WINDOWS = (16, 8, 4, 2)
"""Sides of the windows of `means_and_peaks`, each as large as one cell of the last stage."""


class Vgg19(Network):
    """One member; `width` scales every layer's channels."""

    architecture, head_name = VGG19, "fc"

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__(classes, width)
        first = round(FULL_CHANNELS * width)
        if first < 8:
            raise InputError(f"a network needs width >= 0.125: {width}")
        layers: list[nn.Module] = []
        self._ends: list[int] = []
        channels_in = 3
        for times, count in STAGES:
            for _ in range(count):
                channels = first * times
                layers += [
                    nn.Conv2d(channels_in, channels, 3, 1, 1),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
                channels_in = channels
            layers.append(nn.MaxPool2d(2, 2))
            self._ends.append(len(layers))
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels_in, classes)
        self.apply(initialise)

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) normalised -> the maps of the five stages, S / 2 to S / 32 a side."""
        maps, begin = [], 0
        for end in self._ends:
            x = self.features[begin:end](x)
            maps.append(x)
            begin = end
        return maps

    def early_features(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return means and peaks of the first four stages."""
        return means_and_peaks(stages, WINDOWS)
