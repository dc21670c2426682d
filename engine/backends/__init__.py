"""One file a backend, all behind one protocol."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import InputError

INPUT = "grey"
"""The graph's one input: (1, 1, S, S) uint8."""

REMOTE = "remote"
BACKENDS = ("tensorrt", "tensorrt-rtx", "torch-cuda", "openvino", "torch", REMOTE)
"""The names of ours: of this host's, fastest first, then the one that is on a server."""

OUTPUTS = ("probabilities", "cams", "features")
"""The graph's outputs, in the order of `Inference`."""

HINTS = {"f32": "f32", "fp16": "f32", "bf16": "bf16", "int8": "f32"}
"""What those layers of an OpenVINO engine compute in that are not quantised: float32 gives the same
numbers on every host, while OpenVINO's own default is bf16 where the chip has it. fp16 only halves
the file."""


def configure(
    precision: str, threads: int = 0, streams: int = 1, cache: Path | None = None
) -> dict[str, Any]:
    """Return how OpenVINO runs a graph: `threads` cores (0: all), `streams` pictures at once.

    `cache` is a folder that keeps what is compiled.

    Each thread has a core of its own only where one picture has all cores: then the two threads of
    a picture must not wait for each other on one core, 3 ms in every twentieth picture. Whoever
    takes a few is free to go where a core is idle: OpenVINO pins one thread to the first core, for
    every graph and in every process, and all of them would wait for that core beside idle ones.
    """
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "NUM_STREAMS": str(streams),
        "ENABLE_CPU_PINNING": streams == 1 and threads == 0,
    }
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    if cache is not None:
        config["CACHE_DIR"] = str(cache)
    return config


@dataclass(frozen=True)
class Inference:
    """What the graph gives for B pictures.

    `probabilities` (B, M, C) float32, a row a member, as trained (not calibrated); `cams`
    (B, M, C, h, w) float32, before the ReLU; `features` (B, M, F) float32, as the network's
    `explain` gives them.
    """

    probabilities: Singles
    cams: Singles
    features: Singles


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

    def infer(self, grey: Pixels) -> Inference:
        """Judge `(B, size, size)` uint8 grey pictures."""


@runtime_checkable
class Ahead(Backend, Protocol):
    """A backend that judges several pictures at once if it is told of them beforehand."""

    ahead: int
    """How many pictures may be begun before the first of them is asked for; 0: none."""

    def begin(self, picture: Pixels) -> bool:
        """Start on a `(size, size)` uint8 picture that `infer` is asked for later, in order.

        Returns False where as many are begun already.
        """


def name_precision(precision: str) -> str:
    """Return a precision by the name it has here: `f16` is `fp16`."""
    return "fp16" if precision == "f16" else precision


def check_pictures(grey: Pixels, size_px: int) -> None:
    """Raise `InputError` where `grey` is not (B, size_px, size_px) uint8."""
    if grey.ndim != 3 or grey.shape[1:] != (size_px, size_px) or grey.dtype != np.uint8:
        raise InputError(
            f"the engine takes (B, {size_px}, {size_px}) uint8, found {grey.shape} {grey.dtype}"
        )
