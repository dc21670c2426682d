"""From a trained network to a gate's three files: an int8 graph, and its features' statistics."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from neurosono.engine.arrays import join
from neurosono.engine.builders.openvino import export, quantise
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.files import BundleFile
from neurosono.engine.contracts.gate import GRAPH_NAME, STATISTICS_NAME, WEIGHTS_NAME, GateEntry
from neurosono.engine.gate import OUTPUTS, Familiarity, Gate
from neurosono.training.gate.network import CHANNELS, GateNetwork
from neurosono.training.gate.train import PLANES, Judged

FRAMES = 400
"""Frames that set the ranges of activations."""


def write_graph(folder: Path, network: GateNetwork, frames: Pixels) -> None:
    """Write `gate.xml` and `gate.bin` into `folder`, quantised on `frames`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = quantise(export(network, frames.shape[1], OUTPUTS), frames)
    ov.save_model(model, folder / GRAPH_NAME, compress_to_fp16=False)


def judge_built(folder: Path, frames: Pixels) -> Judged:
    """Judge `(N, S, S)` uint8 with the graph in `folder`, as the engine runs it."""
    names = (GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME)
    nothing = tuple(BundleFile(name, "0" * 64) for name in names)
    entry = GateEntry(nothing, 0.5, 1.0, PLANES, (1.0,) * len(PLANES))
    width = sum(CHANNELS)
    anything = np.array([0.0, 1.0])
    unfitted = Familiarity(np.eye(width), np.zeros((1, width)), anything, anything)
    gate = Gate(folder / GRAPH_NAME, unfitted, entry)
    return join([_as_judged(gate.infer(np.asarray(frame))) for frame in frames])


def _as_judged(found: Sequence[Singles]) -> Judged:
    score, planes, features = (each.astype(np.float64) for each in found)
    return Judged(score[:, 0], planes, features)
