"""Times, ceilings and physical limits of a GPU."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from neurosono.engine.contracts.architecture import RESNET34
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import make_network
from neurosono.engine.parity import compare_answers, has_passed
from neurosono.scripts.gpu_check.record import Found

WHOLE_ROUNDS, LONGEST_S = 2000, 8.0
"""Frames of which the percentiles are, and when fewer must do."""


def time_calls(call: Callable[[int], object], rounds: int, longest_s: float) -> Found:
    """Return percentiles, in ms, of `call(number)`; their number is said."""
    for number in range(5):
        call(number)
    times_ms: list[float] = []
    ends_s = time.perf_counter() + longest_s
    while len(times_ms) < rounds and time.perf_counter() < ends_s:
        begun_ns = time.perf_counter_ns()
        call(len(times_ms))
        times_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    p50, p99 = np.percentile(times_ms, [50, 99])
    found = {"p50_ms": p50, "p99_ms": p99, "max_ms": max(times_ms)}
    return {key: round(float(ms), 4) for key, ms in found.items()} | {"frames": len(times_ms)}


def time_on_gpu(launch: Callable[[], None], stream: Any, rounds: int = 200) -> float:
    """Return the median time (ms) between CUDA events around one launch on `stream`."""
    times_ms = []
    for _ in range(rounds):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begun.record(stream)
        launch()
        ended.record(stream)
        ended.synchronize()
        times_ms.append(begun.elapsed_time(ended))
    return round(float(np.median(times_ms)), 4)


def compare(exact: Singles, found: Singles, precision: str) -> Found:
    """Return an engine's parity with float32, and whether it is within its limits."""
    parity = compare_answers(exact, found, np.zeros(len(exact), np.int64)).to_json()
    mean = np.abs(exact.astype(np.float64).mean(1) - found.astype(np.float64).mean(1)).mean()
    within = has_passed(parity, precision)
    return parity | {"mean_difference": round(float(mean), 7), "within": within}


def make_ensemble(members: int, width: float, device: str, seen: Pixels) -> Ensemble:
    """Return an ensemble of random weights whose batch norms have seen (N, S, S) uint8."""
    torch.manual_seed(0)
    size_px = seen.shape[1]
    with torch.device(device):
        made = (RESNET34, len(DEFAULT_LABELS), width, size_px)
        networks = [make_network(*made) for _ in range(members)]
        ensemble = Ensemble(networks, PreprocessingSpec(size_px=size_px))
    ensemble = ensemble.to(device).train()
    with torch.no_grad():
        for first in range(0, min(len(seen), 24), 8):
            batch = np.ascontiguousarray(seen[first : first + 8])
            ensemble(torch.from_numpy(batch)[:, None].to(device))
    return ensemble.eval()


def measure_ceilings(device: str, *, tiny: bool) -> Found:
    """Return the measured copy rate (GB/s read and written) and matrix rates (TFLOP/s)."""
    size, side, repeats = (1 << 20, 128, 2) if tiny else (1 << 30, 8192, 10)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = _time_s(partial(target.copy_, source), device, repeats)
    found: Found = {"copy_gb_per_s": round(2 * size / copy_s / 1e9, 1)}
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16), ("f32", torch.float32)):
        wide = side if dtype != torch.float32 else side // 2
        a, b = (torch.randn(wide, wide, device=device, dtype=dtype) for _ in range(2))
        out = torch.empty_like(a)
        product_s = _time_s(partial(torch.mm, a, b, out=out), device, repeats)
        found[f"{name}_tflop_per_s"] = round(2 * wide**3 / product_s / 1e12, 2)
    return found


def _time_s(run: Callable[[], object], device: str, repeats: int) -> float:
    for _ in range(3):
        run()
    wait = torch.cuda.synchronize if device == "cuda" else int
    wait()
    begun_s = time.perf_counter()
    for _ in range(repeats):
        run()
    wait()
    return (time.perf_counter() - begun_s) / repeats


def limit_ms(ceilings: Found, weights: int, operations: float, precision: str) -> Found:
    """Return the least time of a picture: its weights read once, its operations done.

    `weights` and `operations` are of all members. A copy reads and writes: reading alone has its
    whole rate.
    """
    size = {"f32": 4}.get(precision, 2)
    reading_ms = weights * size / ceilings["copy_gb_per_s"] / 1e6
    computing_ms = operations / ceilings[f"{precision}_tflop_per_s"] / 1e9
    limits = {"reading_ms": reading_ms, "computing_ms": computing_ms}
    limits |= {"limit_ms": max(reading_ms, computing_ms)}
    return {key: round(ms, 4) for key, ms in limits.items()}


def read_frames(path: Any, size_px: int, least: int) -> tuple[Pixels, str]:
    """Return frames (N, size_px, size_px) uint8 and where they are from.

    `path` is a folder with `frames.npz`, arrays of such frames, or None: phantoms are drawn.
    """
    if path is not None and (path / "frames.npz").is_file():
        with np.load(path / "frames.npz") as arrays:
            parts = {name: np.asarray(arrays[name], dtype=np.uint8) for name in arrays.files}
        said = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
        frames = np.concatenate(list(parts.values()))
        if frames.shape[1:] == (size_px, size_px):
            return frames, said
    return draw_frames(size_px, least), f"{least} phantom"


def draw_frames(size_px: int, count: int) -> Pixels:
    """Return `count` phantom pictures of all labels, (N, size_px, size_px) uint8."""
    from neurosono.engine.preprocess import preprocess
    from neurosono.stream.sources.phantom_source import open_phantom

    spec, frames = PreprocessingSpec(size_px=size_px), []
    each = -(-count // len(DEFAULT_LABELS))
    for number, label in enumerate(DEFAULT_LABELS):
        about = f"phantom:{label}?seed={number + 11}&seconds={each}&fps=1&width=400&height=300"
        taken = [preprocess(each.decoded, spec) for each in open_phantom(about).pictures()]
        frames += taken[:each]
    return np.stack(frames[:count])
