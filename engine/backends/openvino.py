"""OpenVINO: the engine of a host without a GPU, and the default."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from engine.backends import Inference
from engine.contracts.errors import BundleError, EngineUnavailableError, InputError

if TYPE_CHECKING:
    from engine.network import Ensemble

OUTPUTS = ("probabilities", "cams", "features")
INPUT = "grey"
MODEL_NAME = "model.xml"

HINTS = {"f32": "f32", "f16": "f32", "bf16": "bf16", "int8": "f32"}
"""What the layers that are not quantised compute in: float32 gives the same numbers on every host,
while OpenVINO's own default is bf16 where the chip has it. f16 only halves the file."""


def convert(ensemble: "Ensemble", size_px: int) -> ov.Model:
    """Trace an ensemble into one OpenVINO graph for batches of 1; needs torch, at build time only.

    Input `grey` (1, 1, size_px, size_px) uint8; outputs as `engine.backends.Inference`.
    """
    import torch

    example = torch.zeros((1, 1, size_px, size_px), dtype=torch.uint8)
    with torch.no_grad():
        program = torch.export.export(ensemble.eval(), (example,))
        model = ov.convert_model(program)
    model.reshape(list(example.shape))
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    return model


def save(model: ov.Model, folder: Path, precision: str) -> None:
    """Write `model.xml` and `model.bin` into `folder`; f16 and bf16 store half-width weights."""
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, folder / MODEL_NAME, compress_to_fp16=precision == "f16")


class OpenVinoBackend:
    """An ensemble compiled for this CPU."""

    name = "openvino"

    def __init__(
        self, path: Path, precision: str, members: int | None = None, threads: int = 0
    ) -> None:
        """Compile the graph at `path`, its first `members` members, on `threads` (0: all cores).

        Raises `EngineUnavailableError` on a precision that is not ours, `BundleError` on a file
        that is not such a graph.
        """
        if precision not in HINTS:
            raise EngineUnavailableError(
                f"openvino has no precision {precision!r}: choose one of {sorted(HINTS)}"
            )
        core = ov.Core()
        try:
            model = core.read_model(path)
            _check_outputs(model)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(
                f"{path} is not an engine that OpenVINO can read: {reason}"
            ) from error
        if members is not None:
            model = take_members(model, members)
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "NUM_STREAMS": "1",
        }
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        self.precision = precision
        self.members = int(model.output("probabilities").partial_shape[1].get_length())
        self.classes = int(model.output("probabilities").partial_shape[2].get_length())
        self.size_px = int(model.input(INPUT).partial_shape[3].get_length())
        self._request = core.compile_model(model, "CPU", config).create_infer_request()

    def infer(self, grey: NDArray[np.uint8]) -> Inference:
        """Judge `(B, size, size)` uint8 pictures; a picture's answer does not depend on the others.

        Raises `InputError` on another shape or dtype.
        """
        if grey.ndim != 3 or grey.shape[1:] != (self.size_px,) * 2 or grey.dtype != np.uint8:
            raise InputError(
                f"the engine takes (B, {self.size_px}, {self.size_px}) uint8, "
                f"found {grey.shape} {grey.dtype}"
            )
        answers = [self._infer_one(picture) for picture in grey]
        return Inference(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def _infer_one(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        self._request.infer({INPUT: np.ascontiguousarray(picture)[None, None]})
        return [np.array(self._request.get_tensor(name).data) for name in OUTPUTS]


def _check_outputs(model: ov.Model) -> None:
    found = {name for output in model.outputs for name in output.get_names()}
    if not set(OUTPUTS) <= found:
        raise RuntimeError(f"its outputs are {sorted(found)}, expected {list(OUTPUTS)}")


def take_members(model: ov.Model, members: int) -> ov.Model:
    """Return the graph of the first `members` members, the others cut away.

    Each output stacks the members' answers in one Concat; a shorter Concat leaves the other members
    without a consumer. Raises `InputError` where the graph holds fewer.
    """
    stacked = [model.output(name).get_node().input_value(0).get_node() for name in OUTPUTS]
    holds = stacked[0].get_input_size()
    if not 1 <= members <= holds:
        raise InputError(f"the engine holds {holds} members, {members} were asked for")
    results = []
    for node, name in zip(stacked, OUTPUTS, strict=True):
        parts = [node.input_value(index) for index in range(members)]
        output = ov.opset13.concat(parts, 1).output(0)
        output.get_tensor().set_names({name})
        results.append(output)
    return ov.Model(results, model.get_parameters(), model.get_friendly_name())
