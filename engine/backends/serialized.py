"""A serialized TensorRT engine on its GPU; TensorRT and TensorRT for RTX have one interface here.

Written against both libraries' reference. Building, reading back what a host without a GPU can,
and every refusal are tested without one; what runs on the GPU is checked by `scripts/gpu_check/`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.arrays import read_arrays
from neurosono.engine.backends import OUTPUTS, Inference, check_pictures
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineFailedError,
    EngineUnavailableError,
    InputError,
)
from neurosono.engine.parity import check_limits, compare_answers

PROBE_NAME = "probe.npz"
PROBE_FRAMES = 8


class SerializedEngine:
    """An engine, its buffers and its CUDA graph; one frame is one launch and one wait."""

    def __init__(self, context: Any, engine: Any, precision: str) -> None:
        """Take over `engine` and its `context`, both TensorRT's, and allocate what they need.

        Raises `EngineUnavailableError` where the GPU has no room or cannot run it.
        """
        from neurosono.engine.backends import cuda_memory as cuda

        self.precision = precision
        self._cuda, self._context, self._engine = cuda, context, engine
        shapes = {name: tuple(engine.get_tensor_shape(name)) for name in _order_tensors(engine)}
        self.size_px, self.members, self.classes = check_shapes(list(shapes.values()))
        try:
            self.stream = cuda.call(cuda.cudart.cudaStreamCreate)
            buffers = [
                cuda.Buffer.allocate(shape, np.float32 if index else np.uint8)
                for index, shape in enumerate(shapes.values())
            ]
            self._input, self._outputs = buffers[0], buffers[1:]
            for name, buffer in zip(shapes, buffers, strict=True):
                context.set_tensor_address(name, buffer.device)
            self._queue()  # the first run allocates and compiles; a graph can only hold the second
            cuda.call(cuda.cudart.cudaStreamSynchronize, self.stream)
            self.launch = self._record()
        except EngineFailedError as error:
            raise EngineUnavailableError(
                f"the engine does not start on this GPU: {error}; use --engine openvino"
            ) from error

    def infer(self, grey: Pixels) -> Inference:
        """Judge `(B, size, size)` uint8 pictures, one after the other.

        Raises `InputError` on another shape or dtype, `EngineFailedError` where the GPU fails.
        """
        check_pictures(grey, self.size_px)
        answers = [self._infer_one(picture) for picture in grey]
        return Inference(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def _infer_one(self, picture: Pixels) -> list[Singles]:
        self._input.host[0, 0] = picture
        self.launch()
        self._cuda.call(self._cuda.cudart.cudaStreamSynchronize, self.stream)
        return [buffer.host.copy() for buffer in self._outputs]

    def _queue(self) -> None:
        self._input.upload(self.stream)
        if not self._context.execute_async_v3(int(self.stream)):
            raise EngineFailedError("TensorRT did not start the engine")
        for buffer in self._outputs:
            buffer.download(self.stream)

    def _record(self) -> Callable[[], None]:
        cuda = self._cuda
        graph = cuda.capture(self.stream, self._queue)

        def launch() -> None:
            cuda.call(cuda.cudart.cudaGraphLaunch, graph, self.stream)

        return launch


def _order_tensors(engine: Any) -> list[str]:
    """Return the input's name, then the outputs' in the graph's order, however they are named."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name).name == "INPUT"]
    outputs = [name for name in names if name not in inputs]
    return inputs + (list(OUTPUTS) if set(outputs) == set(OUTPUTS) else outputs)


def make_logger(trt: Any, messages: list[str]) -> Any:
    """Return a TensorRT logger that keeps errors in `messages` and prints nothing."""
    errors = (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)

    class Listener(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in errors:
                messages.append(message)

    return Listener()


def check_shapes(shapes: list[tuple[int, ...]]) -> tuple[int, int, int]:
    """Return size, members and classes of an engine of these tensors, its input first.

    Raises `BundleError` where they are not the graph's.
    """
    if [len(shape) for shape in shapes] != [4, 3, 5, 3] or shapes[0][:2] != (1, 1):
        raise BundleError(
            f"the engine's tensors are {shapes}, expected (1, 1, S, S) and {list(OUTPUTS)}: "
            "build it again with `neurosono build`"
        )
    return shapes[0][-1], shapes[1][1], shapes[1][2]


def write_probe(folder: Path, frames: Pixels, answers: Singles) -> None:
    """Keep a few frames (N, S, S) uint8 and the reference's member probabilities (N, M, C)."""
    rows = np.linspace(0, len(frames) - 1, min(PROBE_FRAMES, len(frames))).astype(int)
    np.savez_compressed(folder / PROBE_NAME, frames=frames[rows], answers=answers[rows])


def check_probe(infer: Callable[[Pixels], Inference], path: Path, precision: str) -> None:
    """Let an engine judge the frames that it was built with.

    This is where an engine built without its GPU is compared with float32 on that GPU. Raises
    `EngineUnavailableError` where it is over its limits, `BundleError` where the probe is broken.
    """
    try:
        frames, answers = (np.asarray(each) for each in read_arrays(path, ("frames", "answers")))
    except ValueError as error:
        raise BundleError(
            f"{path} does not hold the engine's check frames: build it again with `neurosono build`"
        ) from error
    found = infer(frames).probabilities
    try:
        parity = compare_answers(answers, found, np.zeros(len(frames), dtype=np.int64))
        check_limits(parity, precision)
    except (InputError, EngineFailedError) as error:
        raise EngineUnavailableError(f"on this GPU {error}, or --engine openvino") from error
