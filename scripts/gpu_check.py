"""For developers with an NVIDIA GPU: build and run every GPU engine, and write what was found.

    python -m scripts.gpu_check --members 1,5,37 --json gpu.json

Ensembles of random weights at full width; parity is with float32 on the same GPU, latency that of
`infer` with its copies, one frame at a time, memory what the GPU holds more than before.
"""

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosono.engine.backends import Backend
from neurosono.engine.backends.tensorrt import ENGINE_NAME, TensorRtBackend
from neurosono.engine.backends.tensorrt_rtx import TensorRtRtxBackend
from neurosono.engine.backends.torch import TorchBackend, TorchCudaBackend
from neurosono.engine.builders.tensorrt import compile_tensorrt
from neurosono.engine.builders.tensorrt_rtx import compile_rtx
from neurosono.engine.contracts.architecture import ARCHITECTURES, RESNET34
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.host import describe_host
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import make_network
from neurosono.engine.parity import LIMITS, compare_answers

SIZE_PX = 224
FRAMES = 64
ROUNDS = 500
PLAN = (
    ("torch-cuda", "f32"),
    ("torch-cuda", "fp16"),
    ("torch-cuda", "bf16"),
    ("tensorrt", "fp16"),
    ("tensorrt", "int8"),
    ("tensorrt-rtx", "fp16"),
)


def make_ensemble(members: int, architecture: str) -> Ensemble:
    """Return an ensemble of random weights whose batch norms have seen pictures."""
    torch.manual_seed(0)
    classes = len(DEFAULT_LABELS)
    networks = [make_network(architecture, classes, 1.0, SIZE_PX) for _ in range(members)]
    ensemble = Ensemble(networks, PreprocessingSpec(size_px=SIZE_PX)).cuda().train()
    with torch.no_grad():
        for _ in range(3):
            ensemble(torch.randint(0, 256, (8, 1, SIZE_PX, SIZE_PX), device="cuda").byte())
    return ensemble.eval().cpu()


def open_backend(
    name: str, precision: str, ensemble: Ensemble, folder: Path, frames: Any
) -> Backend:
    """Build one engine in `folder` and open it on this GPU."""
    if name == "torch-cuda":
        return TorchCudaBackend(ensemble, SIZE_PX, precision)
    if name == "tensorrt":
        target = compile_tensorrt(ensemble, SIZE_PX, precision, folder, frames).target
        torch.cuda.empty_cache()
        return TensorRtBackend(folder / ENGINE_NAME, precision, target)
    compile_rtx(ensemble, SIZE_PX, precision, folder)
    return TensorRtRtxBackend(sorted(folder.glob("*.engine")), precision)


def measure(backend: Backend, frames: Any, exact: Any) -> dict[str, Any]:
    """Compare an engine with float32 and time it."""
    found = backend.infer(frames).probabilities
    parity = compare_answers(exact, found, np.zeros(len(frames), dtype=np.int64))
    times_ms = []
    for index in range(ROUNDS):
        begun_ns = time.perf_counter_ns()
        backend.infer(frames[index % FRAMES : index % FRAMES + 1])
        times_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    p50, p99 = np.percentile(times_ms, [50, 99])
    limit = LIMITS[backend.precision].max_difference
    within = parity.max_difference <= limit
    return {"p50_ms": p50, "p99_ms": p99, "parity": parity.to_json(), "within": within}


def attempt(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `run` found, or in one sentence why it did not."""
    free = torch.cuda.mem_get_info()[0]
    begun_s = time.perf_counter()
    try:
        found = run()
    except (NeurosonoError, RuntimeError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    held_mb = (free - torch.cuda.mem_get_info()[0]) / 1e6
    return found | {"memory_mb": held_mb, "whole_s": time.perf_counter() - begun_s}


def check_engine(
    name: str,
    precision: str,
    ensemble: Ensemble,
    folder: Path,
    frames: Pixels,
    exact: Singles,
) -> dict[str, Any]:
    """Build and open one engine in `folder`, and measure it."""
    own = copy.deepcopy(ensemble)  # backends move and change what they are given
    return measure(open_backend(name, precision, own, folder, frames), frames, exact)


def main() -> int:
    """Run the plan; exit code 1 where an engine did not run or is over its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", default="1,5,37")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=RESNET34)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("gpu_check needs an NVIDIA GPU, its driver and a torch built for CUDA")
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIZE_PX, SIZE_PX), dtype=np.uint8)
    report: dict[str, Any] = {"host": describe_host(), "torch": torch.__version__, "engines": []}
    for members in map(int, options.members.split(",")):
        ensemble = make_ensemble(members, options.architecture)
        reference = TorchBackend(copy.deepcopy(ensemble), "cuda")
        exact = np.concatenate(
            [reference.infer(frames[i : i + 8]).probabilities for i in range(0, FRAMES, 8)]
        )
        del reference
        for name, precision in PLAN:
            torch.cuda.empty_cache()
            with tempfile.TemporaryDirectory() as folder:
                engine = (name, precision, ensemble, Path(folder))
                found = attempt(partial(check_engine, *engine, frames, exact))
            report["engines"].append(
                {"engine": name, "precision": precision, "members": members, **found}
            )
            print(json.dumps(report["engines"][-1]), flush=True)  # noqa: T201
            options.json.write_text(json.dumps(report, indent=2))
    return int(not all(each.get("within") for each in report["engines"]))


if __name__ == "__main__":
    sys.exit(main())
