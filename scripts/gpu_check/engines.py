"""Every GPU engine: parity with float32, latency beside the card's own limit, memory, starts.

    python -m neurosono.scripts.gpu_check.engines --out gpu --seconds 170 --only torch-cuda

Ensembles of random weights at full width whose batch norms have seen phantoms. Parity is with
float32 on the same GPU, latency that of `infer` with its copies, one frame at a time; `gpu_ms` is
the graph's own, between CUDA events.
"""

import argparse
import copy
import gc
import importlib.util
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from neurosono.engine.backends import Backend
from neurosono.engine.backends.torch import TorchBackend, TorchCudaBackend
from neurosono.engine.backends.ways import WAYS
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.network import Ensemble
from neurosono.scripts.gpu_check import company
from neurosono.scripts.gpu_check.measures import (
    LONGEST_S,
    WHOLE_ROUNDS,
    compare,
    limit_ms,
    make_ensemble,
    measure_ceilings,
    read_frames,
    time_calls,
    time_on_gpu,
)
from neurosono.scripts.gpu_check.record import Found, Record, make_parser, run_step

TORCH, RTX = "torch-cuda", "tensorrt-rtx"
PLAN = ((5, "fp16"), (37, "fp16"), (1, "fp16"), (5, "bf16"), (5, "f32"))
LATER = ((1, "f32"), (37, "f32"), (37, "bf16"), (1, "bf16"))
REHEARSED = ((2, "f32"),)
RTX_PLAN = ((5, "fp16"), (1, "fp16"), (5, "bf16"), (37, "fp16"))

LAYERS = (torch.nn.Conv2d, torch.nn.Linear)

GOALS_MS = {(5, "fp16"): 0.8, (37, "fp16"): 3.0}


@dataclass
class Bench:
    """What all parts share: where they run, and what they are compared on."""

    device: str
    frames: Pixels
    ceilings: Found
    operations: float = 0.0
    width: float = 1.0
    rounds: int = WHOLE_ROUNDS
    longest_s: float = LONGEST_S
    kept: dict[int, tuple[Ensemble, Singles]] = field(default_factory=dict)

    @property
    def size_px(self) -> int:
        """The side of a frame."""
        return int(self.frames.shape[1])

    def prepare(self, members: int) -> tuple[Ensemble, Singles]:
        """Return an ensemble and float32's member probabilities of all frames."""
        if members not in self.kept:
            self.kept.clear()
            ensemble = make_ensemble(members, self.width, self.device, self.frames)
            reference = TorchBackend(copy.deepcopy(ensemble), self.device)
            parts = [self.frames[at : at + 8] for at in range(0, len(self.frames), 8)]
            exact = np.concatenate([reference.infer(part).probabilities for part in parts])
            self.kept[members] = ensemble, exact
            del reference
            release()
        return self.kept[members]

    def hold_against_limit(self, members: int, precision: str, found: Found) -> Found:
        """Return the card's own limit, and how many times it an engine takes."""
        weights = sum(each.numel() for each in self.prepare(members)[0].parameters())
        limit = limit_ms(self.ceilings, weights, members * self.operations, precision)
        times = found["p50_ms"] / max(limit["limit_ms"], 1e-9)
        goal = GOALS_MS.get((members, precision))
        reached = {} if goal is None else {"goal_ms": goal, "goal_reached": found["p50_ms"] < goal}
        return limit | {"times_the_limit": round(times, 2)} | reached


def release() -> None:
    """Give back what nobody holds on the GPU."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def count_operations(bench: Bench) -> float:
    """Return what one member computes for a picture, a multiplication and a sum being two.

    By hooks, of all convolutions and linear layers: torch's counter takes seconds to import.
    """
    ensemble, _ = bench.prepare(1)
    counts: list[int] = []

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        counts.append(2 * output.numel() * layer.get_parameter("weight")[0].numel())

    layers = [each for each in ensemble.modules() if isinstance(each, LAYERS)]
    hooks = [each.register_forward_hook(count) for each in layers]
    with torch.no_grad():
        ensemble(torch.from_numpy(bench.frames[:1].copy())[:, None].to(bench.device))
    for hook in hooks:
        hook.remove()
    return float(sum(counts))


def measure(backend: Backend, bench: Bench, members: int, exact: Singles, rounds: int) -> Found:
    """Compare an engine with float32, and time it."""
    parity = compare(exact, backend.infer(bench.frames).probabilities, backend.precision)
    count = len(bench.frames)

    def judge(number: int) -> None:
        at = number % count
        backend.infer(bench.frames[at : at + 1])

    times = time_calls(judge, rounds, bench.longest_s)
    return times | bench.hold_against_limit(members, backend.precision, times) | {"parity": parity}


def _free_mb() -> float:
    return torch.cuda.mem_get_info()[0] / 1e6 if torch.cuda.is_available() else 0.0


def check_torch(
    bench: Bench, members: int, precision: str, ways: Sequence[str], rounds: int
) -> Found:
    """Open torch's engine by the fastest of `ways`, compare and time it."""
    ensemble, exact = bench.prepare(members)
    own = copy.deepcopy(ensemble)
    release()
    before_mb, begun_s = _free_mb(), time.monotonic()
    backend = TorchCudaBackend(own, bench.size_px, precision, bench.device, ways)
    del own
    opened_s = time.monotonic() - begun_s
    release()
    held_mb = before_mb - _free_mb()
    found = measure(backend, bench, members, exact, rounds)
    found |= {"way": backend.way, "tried": backend.tried, "open_s": round(opened_s, 2)}
    graph = backend.graph
    if graph is not None:
        found["gpu_ms"] = time_on_gpu(graph.launch, graph.stream)
    weights_mb = sum(each.numel() * each.element_size() for each in ensemble.parameters()) / 1e6
    # the weights that were altered were on the GPU before, in float32
    return found | {"memory_mb": round(held_mb + weights_mb, 1), "weights_f32_mb": weights_mb}


def check_all_torch(record: Record, bench: Bench, *, full: bool) -> None:
    """Fill in every torch engine, the ways of the most important one first.

    What a kernel of ours breaks, it breaks for its whole process: one of its own tries them first.
    """
    done: dict[str, Found] = {}
    ways = WAYS if full else WAYS[1:]
    if full and "failed" in record.attempt("our kernels, first", 15, company.try_kernels):
        ways = WAYS[1:]
    for members, precision in (*PLAN, *LATER) if full else REHEARSED:
        name = f"{TORCH} {members} {precision}"
        if full and (members, precision) == LATER[0]:
            best = str(done.get(f"{TORCH} 5 fp16", {}).get("way", "branches"))
            record.attempt("company", 28, partial(company.measure_company, best))
        run = partial(check_torch, bench, members, precision, ways, bench.rounds)
        done[name] = record.attempt(name, 10 if full else 1, run)
        if (members, precision) not in (PLAN[0], REHEARSED[0]):
            continue
        for way in (each for each in ways if each != done[name].get("way")):
            run = partial(check_torch, bench, members, precision, (way,), bench.rounds // 5)
            record.attempt(f"{name} {way}", 5 if full else 1, run)
    if full:
        run = partial(check_torch, bench, 37, "fp16", WAYS[-1:], bench.rounds // 20)
        record.attempt(f"{TORCH} 37 fp16 {WAYS[-1]}", 8, run)


def check_rtx(bench: Bench, members: int, precision: str, folder: Path) -> Found:
    """Build TensorRT for RTX's engine here, load it twice (the second time kept), measure it."""
    from neurosono.engine.backends.tensorrt_rtx import AMPERE, TensorRtRtxBackend, load_library
    from neurosono.engine.builders.onnx import export_onnx
    from neurosono.engine.builders.tensorrt_rtx import compile_graph

    trt, (ensemble, exact) = load_library(), bench.prepare(members)
    found: Found = {"tensorrt_rtx": trt.__version__}
    begun_s = time.monotonic()
    graph, path = folder / "model.onnx", folder / AMPERE
    export_onnx(copy.deepcopy(ensemble).cpu(), bench.size_px, precision, graph)
    found["export_s"] = round(time.monotonic() - begun_s, 2)
    begun_s = time.monotonic()
    blob, found["layers"] = compile_graph(trt, graph, precision, None)
    path.write_bytes(blob)
    found |= {"build_s": round(time.monotonic() - begun_s, 2), "engine_mb": len(blob) / 1e6}
    graph.unlink()
    del blob
    release()
    for start in ("load_s", "load_again_s"):
        before_mb, begun_s = _free_mb(), time.monotonic()
        try:
            backend = TensorRtRtxBackend([path], precision, folder / "runtime.cache")
        except Exception as error:  # noqa: BLE001  # its own words are what is asked for
            return found | {"refused": f"{type(error).__name__}: {error}"}
        found[start] = round(time.monotonic() - begun_s, 2)
        found["memory_mb"] = round(before_mb - _free_mb(), 1)
        if start == "load_s":
            del backend
            release()
    found |= measure(backend, bench, members, exact, bench.rounds)
    stream = torch.cuda.ExternalStream(int(backend.stream))  # type: ignore[no-untyped-call]
    return found | {"gpu_ms": time_on_gpu(backend.launch, stream)}


def check_all_rtx(record: Record, bench: Bench, *, full: bool) -> None:
    """Fill in TensorRT for RTX's engines; it has no int8 for convolutions."""
    for members, precision in RTX_PLAN if full else ((1, "fp16"),):
        with tempfile.TemporaryDirectory() as folder:
            run = partial(check_rtx, bench, members, precision, Path(folder))
            needs_s = (2 + members) if full else 1
            found = record.attempt(f"{RTX} {members} {precision}", needs_s, run)
        if "refused" in found and full:
            break
    there = importlib.util.find_spec("tensorrt") is not None
    record.found["tensorrt"] = (
        "installed: build with `neurosono build --engine tensorrt`"
        if there
        else "not run: torch-tensorrt needs TensorRT's own library, which is not installed"
    )
    record.write()


def run(record: Record, options: argparse.Namespace) -> None:
    """Run the parts."""
    full = not options.rehearse
    device, size_px = ("cuda", 224) if full else ("cpu", 64)
    frames, record.found["frames"] = read_frames(options.data, size_px, 24 if full else 5)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    ceilings = record.attempt("ceilings", 0, lambda: measure_ceilings(device, tiny=not full))
    bench = Bench(device, frames, ceilings)
    if not full:
        bench.width, bench.rounds, bench.longest_s = 0.125, 5, 0.5
    bench.operations = record.found["operations_a_member"] = count_operations(bench)
    for part, check in {TORCH: check_all_torch, RTX: check_all_rtx}.items():
        if options.only in (None, part):
            check(record, bench, full=full)
            bench.kept.clear()


def main(words: Sequence[str] | None = None) -> int:
    """Run the step by the command line; returns 1 where a part failed or was not reached."""
    return run_step("engines", make_parser(str(__doc__), 180), run, words, needs="gpu")


if __name__ == "__main__":
    sys.exit(main())
