"""One file a backend, all behind one protocol."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Inference:
    """What the graph gives for B pictures.

    `probabilities` (B, M, C) float32, a row a member, as trained (not calibrated); `cams`
    (B, M, C, h, w) float32, before the ReLU; `features` (B, M, K) float32, the penultimate layer.
    """

    probabilities: NDArray[np.float32]
    cams: NDArray[np.float32]
    features: NDArray[np.float32]


class Backend(Protocol):
    """A compiled ensemble that runs on this host."""

    @property
    def name(self) -> str:
        """The backend's name, as `--engine` takes it."""

    @property
    def precision(self) -> str:
        """The precision it computes in."""

    @property
    def members(self) -> int:
        """How many members it holds."""

    def infer(self, grey: NDArray[np.uint8]) -> Inference:
        """Judge `(B, size, size)` uint8 grey pictures."""
