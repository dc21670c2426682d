"""A model for Triton's GPU container: the members as ONNX, run by ONNX Runtime through TensorRT.

Written by the documentation of Triton's ONNX Runtime backend
(https://github.com/triton-inference-server/onnxruntime_backend); the graph is checked on a CPU, the
configuration has not been tried on a GPU. Here nothing gives up what waited long, as `model` does.
"""

from pathlib import Path

from neurosono.engine.backends import OUTPUTS
from neurosono.engine.bundle import Bundle

PRECISIONS = {"f32": "FP32", "fp16": "FP16"}
"""Of ours, those that Triton's TensorRT accelerator names."""

CONFIG = """# {notice}
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [ {{ name: "grey", data_type: TYPE_UINT8, dims: [ 1, 1, {size}, {size} ] }} ]
output [
{outputs}
]
instance_group [ {{ count: {instances}, kind: KIND_GPU }} ]
optimization {{ execution_accelerators {{ gpu_execution_accelerator : [ {{
  name : "tensorrt"
  parameters {{ key: "precision_mode" value: "{mode}" }}
}} ] }} }}
{parameters}
"""
"""One picture a request, without a batch: shapes are whole. An engine is built at each start: a
cache in a folder that others may write to would be a way in."""


def write_graph(bundle: Bundle, members: int | None, version: Path) -> dict[str, list[int]]:
    """Write the first `members` as ONNX into the folder `version`; returns the outputs' shapes.

    Raises `BundleError` where the bundle does not carry its members' weights, and
    `EngineUnavailableError` where torch or onnx is missing.
    """
    import openvino as ov

    from neurosono.engine.builders.onnx import export_onnx
    from neurosono.engine.members import load_ensemble

    size_px, path = bundle.manifest.preprocessing.size_px, version / "model.onnx"
    # in float32, whatever it runs in: the accelerator casts where that costs no accuracy
    export_onnx(load_ensemble(bundle, members), size_px, "f32", path)
    model = ov.Core().read_model(path)
    return {name: list(model.output(name).shape) for name in OUTPUTS}
