"""The regions' network: one small residual extractor for all regions, and what each speaks for.

A pair's log-odds are the sum over its six regions, so a region's contribution is exact. The paper
(Ramirez Zegarra et al. 2026) has a "Mini-ResNet" inside a "HexaNet" and publishes neither; the
blocks are He et al. 2016 (arXiv 1512.03385), the sum is ours.
"""

import openvino as ov
import torch
from torch import Tensor, nn

from neurosono.engine.networks.base import means_and_peaks
from neurosono.engine.networks.resnet import WINDOWS, ResidualBlock
from neurosono.engine.regions.graph import FEATURES, INPUTS, OUTPUTS
from neurosono.engine.regions.names import REGIONS
from neurosono.engine.regions.view import A_PLANE, CONTEXT, CROP_PX

CHANNELS = (12, 24, 48, 96)
HIDDEN = 64
DROPPED = 0.3
LEVEL_MEAN, LEVEL_STD = 60.0, 55.0
"""By which grey levels are normalised: about those of crops; the exact numbers do not matter."""


class RegionsNetwork(nn.Module):
    """Says of each crop, with its plane's geometry, how far it speaks for abnormal."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, CHANNELS[0], 5, 2, 2, bias=False),
            nn.BatchNorm2d(CHANNELS[0]),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        stages, before = [], CHANNELS[0]
        for number, channels in enumerate(CHANNELS):
            stages.append(ResidualBlock(before, channels, 1 if number == 0 else 2))
            before = channels
        self.stages = nn.ModuleList(stages)
        known = CHANNELS[-1] + sum(CHANNELS) + CONTEXT
        self.verdict, self.plane = (
            nn.Sequential(
                nn.Linear(known, HIDDEN),
                nn.ReLU(),
                nn.Dropout(DROPPED),
                nn.Linear(HIDDEN, 1),
            )
            for _ in range(2)
        )
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("shift", torch.tensor(0.0))

    def explain(self, crops: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 1, S, S) levels, (N, CONTEXT) -> contributions, likeness (N,), features (N, F).

        Judged by the last stage's means, by each stage's strongest answers, for a small cyst is
        lost in a mean, and by the context. The features are as `engine.network`'s: of the first
        three stages means and the means of their strongest answers, then the last one's.
        """
        x = self.stem((crops.float() - LEVEL_MEAN) / LEVEL_STD)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        features = means_and_peaks(maps[:-1], WINDOWS)
        pooled = x.mean((2, 3))  # (N, C)
        strongest = [stage.amax((2, 3)) for stage in maps]
        known = torch.cat([pooled, *strongest, context], 1)
        contributions = self.verdict(known)[:, 0] * self.scale + self.shift / len(REGIONS)
        return contributions, self.plane(known)[:, 0], torch.cat([*features, pooled], 1)

    def forward(self, crops: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `explain`; this is what is exported."""
        return self.explain(crops, context)

    def settle(self, scale: float, threshold: float) -> None:
        """Bring log-odds to a scale, and the operating point to 0: `lean * scale - threshold`."""
        with torch.no_grad():
            self.scale.fill_(scale)
            self.shift.fill_(-threshold)


def export(network: RegionsNetwork) -> ov.Model:
    """Return the network as a graph for one plane's three crops."""
    example = (
        torch.zeros((A_PLANE, 1, CROP_PX, CROP_PX), dtype=torch.uint8),
        torch.zeros((A_PLANE, CONTEXT)),
    )
    assert 22 * CHANNELS[0] == FEATURES
    with torch.no_grad():
        model = ov.convert_model(torch.export.export(network.eval(), example))
    model.reshape({0: list(example[0].shape), 1: list(example[1].shape)})
    for ports, names in ((model.inputs, INPUTS), (model.outputs, OUTPUTS)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    return model
