"""From a trained network to a gate's three files: an int8 graph, and its features' statistics."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray

from neurosono.engine.contracts.files import BundleFile
from neurosono.engine.contracts.gate import GRAPH_NAME, STATISTICS_NAME, WEIGHTS_NAME, GateEntry
from neurosono.engine.gate import INPUT, OUTPUTS, Familiarity, Gate
from neurosono.training.gate.network import CHANNELS, GateNetwork
from neurosono.training.gate.train import PLANES, Judged

FRAMES = 400
"""Frames that set the ranges of activations."""


def export(network: GateNetwork, size_px: int) -> ov.Model:
    """Return the network as an OpenVINO graph: (1, 1, S, S) uint8 in, `OUTPUTS` out."""
    example = torch.zeros((1, 1, size_px, size_px), dtype=torch.uint8)
    with torch.no_grad():
        program = torch.export.export(network.eval(), (example,))
        model = ov.convert_model(program)
    model.reshape(list(example.shape))
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    return model


def quantise(model: ov.Model, frames: NDArray[np.uint8]) -> ov.Model:
    """Return the graph in int8; `frames` (N, S, S) uint8 set the ranges.

    As for the ensemble (`calibration.quantise`): mixed preset, ranges that hold all that was seen,
    biases corrected layer by layer.
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    pictures = [np.ascontiguousarray(frame)[None, None] for frame in frames]
    return nncf.quantize(
        model,
        nncf.Dataset(pictures, lambda picture: {INPUT: picture}),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(pictures),
        fast_bias_correction=False,
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )


def write_graph(folder: Path, network: GateNetwork, frames: NDArray[np.uint8]) -> None:
    """Write `gate.xml` and `gate.bin` into `folder`, quantised on `frames`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = quantise(export(network, frames.shape[1]), frames)
    ov.save_model(model, folder / GRAPH_NAME, compress_to_fp16=False)


def judge_built(folder: Path, frames: NDArray[np.uint8]) -> Judged:
    """Judge `(N, S, S)` uint8 with the graph in `folder`, as the engine runs it."""
    names = (GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME)
    nothing = tuple(BundleFile(name, "0" * 64) for name in names)
    entry = GateEntry(nothing, 0.5, 1.0, PLANES, (1.0,) * len(PLANES))
    width = sum(CHANNELS)
    anything = np.array([0.0, 1.0])
    unfitted = Familiarity(np.eye(width), np.zeros((1, width)), anything, anything)
    gate = Gate(folder / GRAPH_NAME, unfitted, entry)
    return Judged.join([_as_judged(gate.infer(np.asarray(frame))) for frame in frames])


def _as_judged(found: Sequence[NDArray[np.float32]]) -> Judged:
    score, planes, features = (each.astype(np.float64) for each in found)
    return Judged(score[:, 0], planes, features)
