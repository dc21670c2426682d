"""PyTorch: on the CPU the reference that every other backend is compared with; on CUDA fast."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from neurosono.engine.backends import Inference, check_pictures, name_precision
from neurosono.engine.backends.ways import WAYS, Way, make_way
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import EngineFailedError, EngineUnavailableError, InputError
from neurosono.engine.network import Ensemble
from neurosono.engine.parity import LIMITS

DTYPES = {"f32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

Module = TypeVar("Module", bound=torch.nn.Module)

WARM_UP = 3
"""Runs before a CUDA graph is captured, on a stream of their own (PyTorch's CUDA graph notes):
cuDNN picks its kernels in the first."""

ROUNDS = 50
"""Pictures by which a way through the members is timed."""

MARGIN = 1.05
"""A way that is faster by less is as fast as the one before it in `WAYS`."""

_GROSS = 5
"""Times a precision's limit that a way's answers may be from the ensemble's in the same precision:
both round, in another order, and what is broken is further off."""


class TorchBackend:
    """An ensemble run by PyTorch as it is written, in float32: the reference."""

    name = "torch"
    precision = "f32"

    def __init__(self, ensemble: Ensemble, device: str = "cpu") -> None:
        """Put `ensemble` on `device`; raises `EngineUnavailableError` where there is none."""
        try:
            self._ensemble = ensemble.eval().to(device)
        except (RuntimeError, AssertionError) as error:
            raise EngineUnavailableError(
                f"torch has no device {device!r} here ({error}): use --engine openvino"
            ) from error
        self.members = len(ensemble.members)
        self._device = device
        torch.backends.cudnn.allow_tf32 = False  # its 10 bits of mantissa are not float32

    @torch.inference_mode()
    def infer(self, grey: Pixels) -> Inference:
        """Judge `(B, size, size)` uint8 pictures; raises `InputError` on another shape or dtype."""
        if grey.ndim != 3 or grey.dtype != np.uint8:
            raise InputError(
                f"the engine takes (B, size, size) uint8, found {grey.shape} {grey.dtype}"
            )
        batch = torch.from_numpy(np.ascontiguousarray(grey)).unsqueeze(1).to(self._device)
        return Inference(*(output.cpu().numpy() for output in self._ensemble(batch)))


class TorchCudaBackend:
    """An ensemble on a GPU: batch norm folded, channels last, and a frame one CUDA graph.

    A frame is copied up as uint8 from pinned memory, judged, and its answers copied down into
    pinned memory, all in the graph; the processor waits once. Which way it goes through the members
    (`engine.backends.ways`) is timed on this GPU when it is opened. `device` "cpu" runs the same
    steps without graph and pins, for the tests.
    """

    name = "torch-cuda"

    def __init__(
        self,
        ensemble: Ensemble,
        size_px: int,
        precision: str = "fp16",
        device: str = "cuda",
        ways: Sequence[str] = WAYS,
    ) -> None:
        """Put `ensemble`, which is altered, on `device`; of several `ways` the fastest is taken.

        A CPU takes the last of them. Raises `EngineUnavailableError` where there is no such
        device, precision or way, or not enough of its memory.
        """
        self.precision, self.size_px = name_precision(precision), size_px
        self.members = len(ensemble.members)
        if self.precision not in DTYPES:
            raise EngineUnavailableError(
                f"torch computes in one of {sorted(DTYPES)}, not {precision!r}"
            )
        on_gpu = device != "cpu"
        if on_gpu and not torch.cuda.is_available():
            raise EngineUnavailableError(
                "torch finds no NVIDIA GPU or driver here: use --engine openvino"
            )
        torch.backends.cudnn.allow_tf32 = False  # which has 10 bits of mantissa: f32 is float32
        torch.backends.cudnn.benchmark = on_gpu
        ensemble = fold_batch_norm(ensemble).cast(DTYPES[self.precision])
        shape = (1, 1, size_px, size_px)
        self.tried: dict[str, float | str] = {}
        """What each way that was tried took for a picture (ms), or why it was not taken."""
        try:
            ensemble = ensemble.to(device).to(memory_format=torch.channels_last)
            self._above = torch.zeros(shape, dtype=torch.uint8, pin_memory=on_gpu)
            self._input = torch.zeros(shape, dtype=torch.uint8, device=device)
            with torch.inference_mode():
                outputs = ensemble(self._input)
                self._below = [_host_twin(output, pinned=on_gpu) for output in outputs]
                if on_gpu and len(ways) > 1:
                    self.way, self._through = self._choose(ensemble, ways)
                else:
                    self.way, self._through = ways[-1], make_way(ways[-1], ensemble)
                self.graph: CapturedGraph | None = self._capture() if on_gpu else None
        except RuntimeError as error:
            raise EngineUnavailableError(
                f"torch cannot put {self.members} members on {device}: {_first_line(error)}; "
                "use fewer --members, or --engine openvino"
            ) from error

    def infer(self, grey: Pixels) -> Inference:
        """Judge `(B, size, size)` uint8 pictures, one after the other.

        Raises `InputError` on another shape or dtype, `EngineFailedError` where the GPU fails.
        """
        check_pictures(grey, self.size_px)
        answers = [self._infer_one(picture) for picture in grey]
        return Inference(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    @torch.inference_mode()
    def _infer_one(self, picture: Pixels) -> list[Singles]:
        self._above.numpy()[0, 0] = picture
        try:
            self._step() if self.graph is None else self.graph.run()
        except RuntimeError as error:
            raise EngineFailedError(f"the GPU failed: {_first_line(error)}") from error
        return [below.numpy().copy() for below in self._below]

    def _step(self) -> None:
        self._input.copy_(self._above, non_blocking=True)
        for below, output in zip(self._below, self._through(self._input), strict=True):
            below.copy_(output, non_blocking=True)

    def _choose(self, ensemble: Ensemble, ways: Sequence[str]) -> tuple[str, Way]:
        """Return the fastest way whose answers are the ensemble's, of those that run here.

        An earlier one of `WAYS` stays unless a later one is clearly faster, so that two starts
        take the same of two that are as fast.
        """
        # Reached only with a GPU.
        noise = np.random.default_rng(0).integers(0, 256, self._above.shape, dtype=np.uint8)
        self._above.copy_(torch.from_numpy(noise))
        self._input.copy_(self._above)
        exact = ensemble(self._input)[0].mean(1)
        limit = _GROSS * LIMITS[self.precision].max_difference
        name, best, best_ms = WAYS[-1], make_way(WAYS[-1], ensemble), math.inf
        for way in ways:
            if way == name:
                continue
            try:
                self._through = make_way(way, ensemble)
                graph = self._capture()
                graph.run()
                off = (self._below[0].to(exact.device).mean(1) - exact).abs().nan_to_num(1).max()
                if off > limit:
                    self.tried[way] = f"{float(off):.2g} from the ensemble"
                    continue
                self.tried[way] = took_ms = _time_ms(graph.run)
                if took_ms * MARGIN < best_ms:
                    name, best, best_ms = way, self._through, took_ms
            except (RuntimeError, EngineUnavailableError) as error:
                self.tried[way] = _first_line(error)
        return name, best

    def _capture(self) -> "CapturedGraph":
        # Reached only with a GPU.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        graph = torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._step()
        stream.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            self._step()
        return CapturedGraph(graph, stream)


@dataclass(frozen=True)
class CapturedGraph:
    """A frame's work, and the stream that it is launched on."""

    graph: torch.cuda.CUDAGraph
    stream: torch.cuda.Stream

    def launch(self) -> None:
        """Queue a frame."""
        with torch.cuda.stream(self.stream):
            self.graph.replay()

    def run(self) -> None:
        """Queue a frame and wait for it."""
        self.launch()
        self.stream.synchronize()


def _time_ms(run: Callable[[], None]) -> float:
    """Return the shortest time of a picture, in ms."""
    shortest_ns = math.inf
    for _ in range(ROUNDS):
        begun_ns = time.perf_counter_ns()
        run()
        shortest_ns = min(shortest_ns, time.perf_counter_ns() - begun_ns)
    return round(shortest_ns / 1e6, 4)


def fold_batch_norm(network: Module) -> Module:
    """Fold every batch norm into the convolution before it; the answers stay, but for rounding."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in network.eval().modules():
        for conv, norm in _PAIRS:
            if isinstance(getattr(module, norm, None), torch.nn.BatchNorm2d):
                setattr(
                    module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                )
                setattr(module, norm, torch.nn.Identity())
    return network


_PAIRS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1"))
"""The residual networks' convolutions and their norms; the last is a shortcut's."""


def _host_twin(output: Tensor, *, pinned: bool) -> Tensor:
    return torch.zeros(output.shape, dtype=torch.float32, pin_memory=pinned)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
