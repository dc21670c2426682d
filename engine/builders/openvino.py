"""From a network to an OpenVINO graph, in float32 or int8; torch and NNCF at build time only."""

import logging
from collections.abc import Sequence

import numpy as np
import openvino as ov
import torch

from neurosono.engine.backends import INPUT, OUTPUTS
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.network import Ensemble, answer


def _trace(module: torch.nn.Module, example: torch.Tensor) -> ov.Model:
    with torch.no_grad():
        traced = ov.convert_model(torch.export.export(module.eval(), (example,)))
    traced.reshape(list(example.shape))
    return traced


def export(network: torch.nn.Module, size_px: int, outputs: Sequence[str]) -> ov.Model:
    """Return a network as a graph: `grey` (1, 1, size_px, size_px) uint8 in, `outputs` out."""
    model = _trace(network, torch.zeros((1, 1, size_px, size_px), dtype=torch.uint8))
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})
    return model


def convert(ensemble: Ensemble, size_px: int) -> ov.Model:
    """Trace an ensemble into one OpenVINO graph for batches of 1.

    Input `grey` (1, 1, size_px, size_px) uint8; outputs as `engine.backends.Inference`. Members are
    traced one by one and joined behind one normalisation: 37 at once take torch and OpenVINO
    many times as long.
    """

    class Normalisation(torch.nn.Module):
        def forward(self, grey: torch.Tensor) -> torch.Tensor:
            return ensemble.normalise(grey)

    class Answer(torch.nn.Module):
        def __init__(self, member: torch.nn.Module) -> None:
            super().__init__()
            self.member = member

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            return answer(self.member, x)

    grey = torch.zeros((1, 1, size_px, size_px), dtype=torch.uint8)
    first = _trace(Normalisation(), grey)
    members = [
        _trace(Answer(member), ensemble.normalise(grey)) for member in ensemble.eval().members
    ]
    model = _join(first, members)
    model.inputs[0].get_tensor().set_names({INPUT})
    return model


def _join(first: ov.Model, members: list[ov.Model]) -> ov.Model:
    """Feed every member from `first`, and stack their answers: one Concat an output."""
    normalised = first.output(0).get_node().input_value(0)
    for number, member in enumerate(members):
        for op in member.get_ops():  # traced alike, and NNCF tells operations apart by name alone
            op.set_friendly_name(f"member_{number:02d}/{op.get_friendly_name()}")
        for reader in member.input(0).get_target_inputs():
            reader.replace_source_output(normalised)
    results = []
    for index, name in enumerate(OUTPUTS):
        parts = [member.output(index).get_node().input_value(0) for member in members]
        stacked = ov.opset13.concat(parts, 1).output(0)
        stacked.get_tensor().set_names({name})
        results.append(stacked)
    return ov.Model(results, first.get_parameters(), "ensemble")


def quantise(
    model: ov.Model,
    squares: Pixels,
    *,
    quickly: bool = False,
    attends: bool = False,
    trim: bool = False,
) -> ov.Model:
    """Return a graph in int8; `squares` (N, S, S) uint8 set the ranges.

    The mixed preset: weights symmetric, activations asymmetric where they have a sign. Ranges hold
    the smallest and largest value seen, and biases are corrected layer by layer, all at once if
    `quickly`: on the demo bundle the mean change of probability is 0.002 so, and 0.005 with NNCF's
    defaults, which clip outliers and correct all biases at once. A transformer `attends`: its
    attention and its few large activations are quantised by rules of their own (NNCF). To `trim`
    chooses ranges by their histograms, which leaves out what is rare and large.
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    pictures = [np.ascontiguousarray(square)[None, None] for square in squares]
    return nncf.quantize(
        model,
        nncf.Dataset(pictures, lambda picture: {INPUT: picture}),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(pictures),
        fast_bias_correction=quickly,
        model_type=nncf.ModelType.TRANSFORMER if attends else None,
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM
            if trim
            else RangeEstimatorParametersSet.MINMAX
        ),
    )
