"""Engines beside each other on one card: each a process of its own, as scanners' are.

Run as a module it is one of them: it opens its engine, says `ready`, waits for a line, judges at
its rate and prints its times as JSON.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from neurosono.engine.backends.torch import CapturedGraph, TorchCudaBackend, fold_batch_norm
from neurosono.scripts.gpu_check.measures import make_ensemble
from neurosono.scripts.gpu_check.record import Found

CLASSIFIER, STRUCTURES = "classifier", "structures"
RATE_HZ, FRAMES, MEMBERS, LOOK_PX = 30.0, 60, 5, 192
LONGEST_S = 60.0
"""After which what has not answered is ended."""


def open_classifier(way: str) -> Callable[[int], None]:
    """Return what judges a frame with an ensemble of random weights."""
    frames = np.random.default_rng(0).integers(0, 256, (24, 224, 224), dtype=np.uint8)
    ensemble = make_ensemble(MEMBERS, 1.0, "cuda", frames)
    backend = TorchCudaBackend(ensemble, 224, "fp16", "cuda", (way,))

    def judge(number: int) -> None:
        backend.infer(frames[number % 24 : number % 24 + 1])

    return judge


def open_structures(_way: str) -> Callable[[int], None]:
    """Return what finds structures in a look, by a network of random weights in a CUDA graph."""
    from neurosono.training.detect.network import Detector

    torch.backends.cudnn.benchmark = True
    network = fold_batch_norm(Detector(LOOK_PX).eval()).half().cuda()
    network = network.to(memory_format=torch.channels_last)
    look = torch.zeros(1, 1, LOOK_PX, LOOK_PX, dtype=torch.uint8)
    above, below = look.pin_memory(), list[Tensor]()

    def step() -> list[Tensor]:
        raw = network.look(above.cuda(non_blocking=True).half())
        return [raw.classes, raw.centreness, raw.sides, raw.turns, raw.planes, raw.head]

    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        with torch.cuda.stream(stream):
            for _ in range(3):
                outputs = step()
            below += [torch.empty(each.shape, dtype=each.dtype).pin_memory() for each in outputs]
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for host, output in zip(below, step(), strict=True):
                host.copy_(output, non_blocking=True)
    captured = CapturedGraph(graph, stream)

    def judge(number: int) -> None:
        above.fill_(number % 256)
        captured.run()

    return judge


def measure_company(way: str) -> Found:
    """Time one scanner, four, and a classifier beside a structures network."""
    with _starting([(CLASSIFIER, way), (STRUCTURES, way), *[(CLASSIFIER, way)] * 3]) as children:
        found: Found = {"rate_hz": RATE_HZ, "frames": FRAMES, "members": MEMBERS, "way": way}
        found["classifier alone"] = _go(children[:1])
        found["structures alone"] = _go(children[1:2])
        found["classifier and structures"] = _go(children[:2])
        found["four classifiers"] = _go([children[0], *children[2:]])
        found["four classifiers and structures"] = _go(children)
    return found


def try_kernels() -> Found:
    """Judge a frame by our own kernels in a process of its own; raises where that ends badly."""
    with _starting([(CLASSIFIER, "kernels")]):
        return {"judged": 5}


@contextmanager
def _starting(engines: Sequence[tuple[str, str]]) -> Iterator[list["subprocess.Popen[str]"]]:
    """Start engines, a process each, wait until all are ready, and end them."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, *engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for engine in engines
    ]
    ending = [threading.Timer(LONGEST_S, child.kill) for child in children]
    try:
        for timer in ending:
            timer.start()
        for child in children:
            _hear(child)
        yield children
    finally:
        for timer, child in zip(ending, children, strict=True):
            timer.cancel()
            child.kill()
            child.communicate()


def _hear(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"an engine beside others ended with code {child.wait(5)}")
    return line


def _go(children: Sequence["subprocess.Popen[str]"]) -> list[Found]:
    """Let the children judge at once, and return what each found."""
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(_hear(child)) for child in children]


def judge_at_rate(judge: Callable[[int], None]) -> Found:
    """Judge `FRAMES` frames at `RATE_HZ`; ages count from when a frame was due."""
    begun_s, ages_ms = time.perf_counter() + 0.2, []
    for number in range(FRAMES):
        due_s = begun_s + number / RATE_HZ
        time.sleep(max(0.0, due_s - time.perf_counter()))
        judge(number)
        ages_ms.append((time.perf_counter() - due_s) * 1e3)
    p50, p99 = np.percentile(ages_ms, [50, 99])
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(max(ages_ms), 3)}


def main() -> int:
    """Be one of the engines."""
    kind, way = sys.argv[1:3]
    judge = {CLASSIFIER: open_classifier, STRUCTURES: open_structures}[kind](way)
    for number in range(5):
        judge(number)
    print("ready", flush=True)  # noqa: T201
    for _ in sys.stdin:
        print(json.dumps(judge_at_rate(judge)), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
