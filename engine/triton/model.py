"""An ensemble for Triton's Python backend; it stands beside its graph, and needs OpenVINO alone.

Copied as it is into a model repository (`engine.triton.repository`), and run by the server in its
own Python: nothing of neurosono is imported here. Input and outputs as `engine.backends`.
"""

import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # only the server has it

OUTPUTS = ("probabilities", "cams", "features")


def _import_openvino() -> Any:
    """Import OpenVINO without what it sends of its use to its makers."""
    silent = types.ModuleType("openvino_telemetry")
    silent.Telemetry = type(  # type: ignore[attr-defined]
        "Telemetry", (), {"__init__": lambda *_, **__: None, "__getattr__": lambda *_: _nothing}
    )
    sys.modules.setdefault("openvino_telemetry", silent)
    import openvino

    return openvino


def _nothing(*_: object, **__: object) -> None:
    """Send nothing."""


class TritonPythonModel:
    """One instance: a process of its own, which judges one picture after the other."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the graph that lies beside this file."""
        ov = _import_openvino()
        told = json.loads(args["model_config"])["parameters"]
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": told["compute"]["string_value"],
            "NUM_STREAMS": "1",
        }
        threads = int(told["threads"]["string_value"])
        if threads:  # a few of the cores: pinned, every instance would take the same ones
            config |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        compiled = ov.Core().compile_model(Path(__file__).with_name("model.xml"), "CPU", config)
        self._request = compiled.create_infer_request()
        size_px = int(compiled.inputs[0].partial_shape[3].get_length())
        self._judge(np.zeros((1, 1, size_px, size_px), np.uint8))  # compiles what is left

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request's picture."""
        responses = []
        for request in requests:
            until_ns = json.loads(request.parameters() or "{}").get("until_ns")
            now_ns = time.monotonic_ns()
            if until_ns is not None and now_ns > until_ns:
                error = pb_utils.TritonError(f"waited too long, by clock_ns={now_ns}")
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            grey = pb_utils.get_input_tensor_by_name(request, "grey").as_numpy()
            answers = self._judge(grey)
            answers["clock"] = np.asarray([[time.monotonic_ns()]], np.int64)
            wanted = [name for name in answers if name in request.requested_output_names()]
            tensors = [pb_utils.Tensor(name, answers[name]) for name in wanted]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses

    def _judge(self, grey: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, Any]:
        self._request.infer({"grey": grey})
        return {name: self._request.get_tensor(name).data.copy() for name in OUTPUTS}
