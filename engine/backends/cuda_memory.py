"""Memory, a stream and a graph on the GPU, through `cuda-bindings`: no torch at run time.

A host without a GPU imports this; each call that needs one raises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neurosono.engine.contracts.errors import EngineFailedError, EngineUnavailableError

try:
    from cuda.bindings import runtime
except ImportError as error:  # pragma: no cover (the extra brings it)
    raise EngineUnavailableError(
        "a TensorRT engine needs cuda-bindings: pip install neurosono[tensorrt-rtx]"
    ) from error

cudart: Any = runtime
"""CUDA's runtime; its calls give `(status, found...)`."""


def call(function: Callable[..., tuple[Any, ...]], *arguments: object) -> Any:
    """Call a CUDA runtime function and return what it gives.

    Raises `EngineFailedError` with CUDA's own words where it fails.
    """
    status, *found = function(*arguments)
    if status != cudart.cudaError_t.cudaSuccess:
        words = cudart.cudaGetErrorString(status)[1].decode()
        raise EngineFailedError(f"the GPU failed in {function.__name__}: {words}")
    return found[0] if len(found) == 1 else tuple(found)


@dataclass(frozen=True)
class Buffer:
    """A tensor twice: `host` in pinned memory, and at the address `device` on the GPU."""

    host: NDArray[Any]
    device: int

    @classmethod
    def allocate(cls, shape: tuple[int, ...], dtype: DTypeLike) -> "Buffer":
        """Allocate both; raises `EngineFailedError` where there is no room."""
        import ctypes

        size = prod(shape) * np.dtype(dtype).itemsize
        pinned = int(call(cudart.cudaMallocHost, size))
        raw = memoryview((ctypes.c_ubyte * size).from_address(pinned))
        host = np.frombuffer(raw, dtype=dtype).reshape(shape)
        return cls(host, int(call(cudart.cudaMalloc, size)))

    def upload(self, stream: Any) -> None:
        """Queue the copy to the GPU."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        at = self.host.ctypes.data
        call(cudart.cudaMemcpyAsync, self.device, at, self.host.nbytes, kind, stream)

    def download(self, stream: Any) -> None:
        """Queue the copy from the GPU."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        at = self.host.ctypes.data
        call(cudart.cudaMemcpyAsync, at, self.device, self.host.nbytes, kind, stream)


def capture(stream: Any, step: Callable[[], None]) -> Any:
    """Record what `step` queues on `stream` as a CUDA graph, ready to launch."""
    relaxed = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeRelaxed
    call(cudart.cudaStreamBeginCapture, stream, relaxed)
    try:
        step()
    finally:
        graph = call(cudart.cudaStreamEndCapture, stream)
    return call(cudart.cudaGraphInstantiate, graph, 0)
