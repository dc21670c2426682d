"""Which precision of a bundle is the fastest on this host: timed once, and kept.

What a processor says it can is no promise: with AVX512_BF16 and without AMX a full-width member
takes 45 ms in bf16 and 29 in float32. What was found is kept for this processor, its cores, the
runtime and the bundle, so that the same frames give the same numbers here until one of them is
another.
"""

import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import PRECISIONS_BY_PREFERENCE, Bundle
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError, OutputError
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.files import write_whole
from neurosono.engine.kept import find_own

BUDGET_S, LEAST_ROUNDS = 1.0, 3
"""How long candidates are timed, in turns, so that what else runs weighs on all of them alike."""

MARGIN = 1.05
"""What is slower by less is as fast; of those the nearest to float32 is taken."""

TIMED = "timed once"

Opening = Callable[[EngineEntry], Backend]
Trouble = (BundleError, EngineUnavailableError)


@dataclass(frozen=True)
class Timed:
    """The shortest time of a picture (ms) in each precision that runs here, on `cores` cores."""

    ms: Mapping[str, float]
    cores: int

    def rank(self) -> list[str]:
        """Return the precisions, the one to take first."""
        near = {name for name, ms in self.ms.items() if ms <= MARGIN * min(self.ms.values())}
        nearest_first = reversed(PRECISIONS_BY_PREFERENCE)
        taken = next(name for name in nearest_first if name in near)
        return [
            taken,
            *sorted((name for name in self.ms if name != taken), key=self.ms.__getitem__),
        ]

    def describe(self) -> str:
        """Return what was found, in words."""
        times = describe_times({name: self.ms[name] for name in self.rank()})
        return f"{TIMED} on {self.cores} cores, ms a picture: {times}"


def describe_times(ms: Mapping[str, float]) -> str:
    """Return times in words, in their order."""
    return ", ".join(f"{name} {each:.1f}" for name, each in ms.items())


def find_fastest(
    bundle: Bundle, entries: Sequence[EngineEntry], members: int | None, open_engine: Opening
) -> Timed | None:
    """Return what the `entries`, one a precision, take here; times them where nobody has yet.

    `open_engine` opens one for one picture on all cores. Whoever else wants to know meanwhile
    waits, so that all take the same. None where nothing can be kept: then every process would
    find for itself, and two might differ. Raises what opening raises where none opens.
    """
    from importlib.metadata import version  # 25 modules that most starts have no use for

    folder = find_own("timings")
    if folder is None:
        return None
    cores = len(os.sched_getaffinity(0))
    about = {
        "processor": read_processor(),
        "cores": cores,
        "openvino": version("openvino"),
        "bundle": bundle.manifest.digest,
        "members": members,
        "precisions": sorted(entry.precision for entry in entries),
    }
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    path = folder / f"{name}.json"
    found = _read(path, about)
    if found is None:
        with _alone(folder / "lock"):
            found = _read(path, about)
            if found is None:
                found = Timed(time_engines(entries, open_engine, bundle), cores)
                try:
                    write_whole(path, json.dumps(about | {"ms": found.ms}, indent=2), mode=0o600)
                except OutputError:
                    return None
    return found


def time_engines(
    entries: Sequence[EngineEntry], open_engine: Opening, bundle: Bundle
) -> dict[str, float]:
    """Return the shortest time of a picture (ms) in each precision that opens."""
    backends: dict[str, Backend] = {}
    trouble: list[BundleError | EngineUnavailableError] = []
    for entry in entries:
        try:
            backends[entry.precision] = open_engine(entry)
        except Trouble as error:
            trouble.append(error)
    if not backends:
        raise trouble[0]
    return time_backends(backends, bundle.manifest.preprocessing.size_px)


def time_backends(backends: Mapping[str, Backend], size_px: int) -> dict[str, float]:
    """Return the shortest time (ms) that each took for a picture, in turns."""
    shape = (1, size_px, size_px)
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shortest = dict.fromkeys(backends, math.inf)
    for backend in backends.values():
        backend.infer(picture)  # what is compiled or laid out at first use
    begun_s, rounds = time.monotonic(), 0
    while rounds < LEAST_ROUNDS or time.monotonic() - begun_s < BUDGET_S:
        for name, backend in backends.items():
            before_ns = time.perf_counter_ns()
            backend.infer(picture)
            shortest[name] = min(shortest[name], (time.perf_counter_ns() - before_ns) / 1e6)
        rounds += 1
    return {name: round(ms, 3) for name, ms in shortest.items()}


def read_processor() -> str:
    """Return the processor's name as the kernel has it, empty where it has none."""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return ""


def _read(path: Path, about: Mapping[str, Any]) -> Timed | None:
    """Return what was kept, None where it is not whole, or of something else."""
    try:
        found = json.loads(path.read_bytes())
        ms = {str(name): float(value) for name, value in found.pop("ms").items()}
    except (OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None
    known = set(ms) <= set(about["precisions"])
    if (
        found != dict(about)
        or not ms
        or not known
        or not all(0 < each < 1e6 for each in ms.values())
    ):
        return None
    return Timed(ms, about["cores"])


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process times; one that dies lets go of it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
