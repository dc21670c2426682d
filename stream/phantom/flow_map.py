"""The colours in which a scanner shows flow, as its bar on the screen says them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles

Stop = tuple[int, int, int]

STEPS = 128


@dataclass(frozen=True)
class FlowMap:
    """Blue, green and red from slow to fast: towards the probe and away, or the power alone."""

    towards: tuple[Stop, ...]
    away: tuple[Stop, ...] | None

    @property
    def is_power(self) -> bool:
        """Whether direction does not count."""
        return self.away is None

    @cached_property
    def _colours(self) -> Pixels:
        return np.stack([_spread(self.away or self.towards), _spread(self.towards)])

    def paint(self, speed: Singles) -> Pixels:
        """Return the colour, `(…, 3)` BGR, of each speed, -1 to 1."""
        steps = np.clip(np.abs(speed) * (STEPS - 1), 0, STEPS - 1).astype(np.intp)
        return np.asarray(self._colours[(speed > 0).astype(np.intp), steps], dtype=np.uint8)

    def bar(self, tall: int) -> Pixels:
        """Return the colour bar, `(tall, 1, 3)` BGR, fastest towards on top."""
        slowest = 0.0 if self.is_power else -1.0
        return self.paint(np.linspace(1, slowest, tall).astype(np.float32)[:, None])


def _spread(stops: tuple[Stop, ...]) -> Pixels:
    at, here = np.linspace(0, 1, len(stops)), np.linspace(0, 1, STEPS)
    channels = [np.interp(here, at, [stop[c] for stop in stops]) for c in range(3)]
    return np.rint(np.stack(channels, 1)).astype(np.uint8)


_DARK_RED, _RED, _ORANGE = (0, 0, 70), (0, 0, 255), (0, 200, 255)
_DARK_BLUE, _BLUE, _CYAN = (70, 0, 0), (255, 0, 0), (255, 220, 0)

MAPS = (
    FlowMap(
        ((35, 35, 35), (40, 110, 160), (65, 185, 255)),
        ((35, 35, 35), (160, 100, 40), (255, 175, 65)),
    ),
    FlowMap((_DARK_RED, _RED, _ORANGE), (_DARK_BLUE, _BLUE, _CYAN)),
    FlowMap(
        ((0, 0, 60), (0, 50, 240), (120, 255, 255)), ((60, 0, 0), (240, 60, 0), (255, 255, 160))
    ),
    FlowMap(
        ((20, 20, 70), (30, 30, 200), (60, 120, 250)), ((70, 20, 20), (200, 40, 30), (250, 140, 70))
    ),
    FlowMap(((0, 0, 60), (0, 60, 200), (0, 160, 255), (0, 255, 255)), None),
    FlowMap(((40, 0, 60), (120, 0, 200), (160, 120, 255)), None),
)
"""Red and blue, towards yellow and cyan as a rule, and two of power Doppler."""
