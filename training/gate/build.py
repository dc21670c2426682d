"""From a trunk and its heads to a gate's graph, and what that graph says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from neurosono.engine.contracts.files import BundleFile
from neurosono.engine.contracts.gate import GRAPH_NAME, STATISTICS_NAME, WEIGHTS_NAME, GateEntry
from neurosono.engine.gate import Familiarity, Gate
from neurosono.training.gate.heads import PLANES, Heads, Judged, attach
from neurosono.training.gate.trunk import FAMILIAR


def write_graph(folder: Path, trunk: ov.Model, heads: Heads) -> None:
    """Write `gate.xml` and `gate.bin` into `folder`: the int8 trunk with its heads on it."""
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(attach(trunk, heads), folder / GRAPH_NAME, compress_to_fp16=False)


def judge_built(folder: Path, frames: NDArray[np.uint8]) -> Judged:
    """Judge `(N, S, S)` uint8 with the graph in `folder`, as the engine runs it."""
    names = (GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME)
    nothing = tuple(BundleFile(name, "0" * 64) for name in names)
    entry = GateEntry(nothing, 0.5, 1.0, PLANES, (1.0,) * len(PLANES))
    anything = np.array([0.0, 1.0])
    unfitted = Familiarity(np.eye(FAMILIAR), np.zeros((1, FAMILIAR)), anything, anything)
    gate = Gate(folder / GRAPH_NAME, unfitted, entry)
    return Judged.join([_as_judged(gate.infer(np.asarray(frame))) for frame in frames])


def _as_judged(found: Sequence[NDArray[np.float32]]) -> Judged:
    score, planes, features = (each.astype(np.float64) for each in found)
    return Judged(score[:, 0], planes, features)
