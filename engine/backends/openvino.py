"""OpenVINO: the engine of a host without a GPU, and the default."""

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from neurosono.engine.backends import HINTS as HINTS
from neurosono.engine.backends import INPUT as INPUT
from neurosono.engine.backends import OUTPUTS as OUTPUTS
from neurosono.engine.backends import Inference, check_pictures, configure, name_precision
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError, InputError

MODEL_NAME = "model.xml"
NO_BF16 = "this processor does not compute in bf16: choose --precision f32 or int8"


def save(model: ov.Model, folder: Path, precision: str) -> None:
    """Write `model.xml` and `model.bin` into `folder`; fp16 stores half-width weights."""
    folder.mkdir(parents=True, exist_ok=True)
    half = name_precision(precision) == "fp16"
    ov.save_model(model, folder / MODEL_NAME, compress_to_fp16=half)


class OpenVinoBackend:
    """An ensemble compiled for this CPU."""

    name = "openvino"

    def __init__(
        self,
        path: Path,
        precision: str,
        members: int | None = None,
        threads: int = 0,
        cache: Path | None = None,
        streams: int = 1,
    ) -> None:
        """Compile the graph at `path`, its first `members` members, on `threads` (0: all cores).

        `streams` is how many pictures are judged at once where `begin` tells of them beforehand:
        a core each costs less than one picture on all cores, and gives the same numbers.
        `cache` is a folder that keeps the compiled graph of exactly this file. Raises
        `EngineUnavailableError` on a precision that this chip has not, `BundleError` on a file
        that is not such a graph.
        """
        self.precision = name_precision(precision)
        core = ov.Core()
        _check_precision(core, self.precision)
        config = configure(self.precision, threads, streams, cache)
        try:
            compiled = _compile(core, path, members, config)
        except RuntimeError as error:
            if self.precision == "bf16" and _is_readable(core, path, members):
                raise EngineUnavailableError(NO_BF16) from error
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(
                f"{path} is not an engine that OpenVINO can read: {reason}"
            ) from error
        self.members = int(compiled.output("probabilities").partial_shape[1].get_length())
        self.classes = int(compiled.output("probabilities").partial_shape[2].get_length())
        self.size_px = int(compiled.input(INPUT).partial_shape[3].get_length())
        # one more than run at once, so that no stream waits while an answer is taken
        self.ahead = streams + 1 if streams > 1 else 0
        # and one for a picture that was not begun
        self._idle = [_Request(compiled, self.size_px) for _ in range(self.ahead + 1)]
        self._begun: deque[tuple[Pixels, _Request]] = deque()

    def begin(self, picture: Pixels) -> bool:
        """Start on a `(size, size)` picture that `infer` is asked for later; False if it cannot.

        `infer` is asked in the same order, with the same memory; what it passes over was begun in
        vain.
        """
        if len(self._begun) >= self.ahead:
            return False
        check_pictures(picture[None], self.size_px)
        request = self._idle.pop()
        request.begin(picture)
        self._begun.append((picture, request))
        return True

    def infer(self, grey: Pixels) -> Inference:
        """Judge `(B, size, size)` uint8 pictures; a picture's answer does not depend on the others.

        Raises `InputError` on another shape or dtype.
        """
        check_pictures(grey, self.size_px)
        answers = [self._infer_one(picture) for picture in grey]
        return Inference(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def _infer_one(self, picture: Pixels) -> list[Singles]:
        request = self._take_begun(picture)
        if request is None:
            request = self._idle[-1]
            request.run(picture)
        return [answer.copy() for answer in request.answers]

    def _take_begun(self, picture: Pixels) -> "_Request | None":
        """Wait for the picture, and for those before it; None where it was not begun."""
        if not any(np.may_share_memory(each, picture) for each, _ in self._begun):
            return None
        while True:
            each, request = self._begun.popleft()
            request.wait()
            self._idle.append(request)
            if np.may_share_memory(each, picture):
                return request


class _Request:
    """An inference request with memory of its own, given to the runtime once.

    OpenVINO's calls that take arrays check and wrap them anew each time, for 0.1 ms.
    """

    def __init__(self, compiled: ov.CompiledModel, size_px: int) -> None:
        self._request = compiled.create_infer_request()
        self._grey = np.zeros((1, 1, size_px, size_px), np.uint8)
        self._request.set_tensor(INPUT, ov.Tensor(self._grey, shared_memory=True))
        self.answers = [
            np.zeros(tuple(compiled.output(name).shape), np.float32) for name in OUTPUTS
        ]
        for name, answer in zip(OUTPUTS, self.answers, strict=True):
            self._request.set_tensor(name, ov.Tensor(answer, shared_memory=True))

    def begin(self, picture: Pixels) -> None:
        """Start on a copy of `picture`, `(size, size)`."""
        self._grey[0, 0] = picture
        self._request.start_async()

    def run(self, picture: Pixels) -> None:
        """Judge a copy of `picture`, `(size, size)`, here and now."""
        self._grey[0, 0] = picture
        self._request.infer(share_outputs=True)

    def wait(self) -> None:
        """Wait until `answers` are those of the picture begun."""
        self._request.wait()


def _check_precision(core: ov.Core, precision: str) -> None:
    if precision not in HINTS:
        raise EngineUnavailableError(
            f"openvino has no precision {precision!r}: choose one of {sorted(HINTS)}"
        )
    capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in capable:
        raise EngineUnavailableError(NO_BF16)


def _is_readable(core: ov.Core, path: Path, members: int | None) -> bool:
    """Return whether the graph compiles in float32.

    Where oneDNN is told to use less than the chip has, OpenVINO still names bf16 among what it can.
    """
    with suppress(RuntimeError):
        _compile(core, path, members, {"INFERENCE_PRECISION_HINT": "f32"})
        return True
    return False


def _compile(
    core: ov.Core, path: Path, members: int | None, config: dict[str, Any]
) -> ov.CompiledModel:
    if members is None and "CACHE_DIR" in config:
        # by its path: a graph already read is hashed whole before its cached form is found
        compiled = core.compile_model(path, "CPU", config)
        _check_outputs(compiled)
        return compiled
    model = core.read_model(path)
    _check_outputs(model)
    if members is not None:
        model = take_members(model, members)
    return core.compile_model(model, "CPU", config)


def _check_outputs(model: ov.Model | ov.CompiledModel) -> None:
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
