"""The ensemble as one ONNX file, weights inside: what TensorRT for RTX parses.

OpenVINO reads it too, so the graph is checked on a host without a GPU.
"""

import warnings
from pathlib import Path

import torch

from neurosono.engine.backends import INPUT, OUTPUTS, name_precision
from neurosono.engine.backends.torch import DTYPES, fold_batch_norm
from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.network import Ensemble

OPSET = 19
"""The first whose convolutions and casts take bfloat16."""

MAX_BYTES = 2**31 - 1
"""Protocol buffers end here: 37 members of full width are 3.2 GB in float32, 1.6 GB in half."""


def export_onnx(ensemble: Ensemble, size_px: int, precision: str, path: Path) -> None:
    """Write `ensemble`, which is altered, for pictures of `size_px`, its members in `precision`.

    Raises `EngineUnavailableError` where `onnx` is missing, the precision is not a floating one,
    or the weights do not fit into one file.
    """
    dtype = DTYPES.get(name_precision(precision))
    if dtype is None:
        raise EngineUnavailableError(f"ONNX is written in one of {sorted(DTYPES)}, not {precision}")
    graph = fold_batch_norm(ensemble).cast(dtype)
    weights = sum(each.numel() * each.element_size() for each in graph.parameters())
    if weights > MAX_BYTES:
        raise EngineUnavailableError(
            f"the members' weights are {weights / 1e9:.1f} GB in {precision}, and an ONNX file "
            "holds 2: choose fp16, or fewer --members"
        )
    grey = torch.zeros((1, 1, size_px, size_px), dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            # the other exporter needs onnxscript, and gives the same operators for this network
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                graph,
                (grey,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
            )
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        raise EngineUnavailableError(
            f"ONNX cannot be written: {str(error).splitlines()[0]}; "
            "pip install neurosono[tensorrt-rtx]"
        ) from error
