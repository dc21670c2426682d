"""Which engine to run: the best that this host really can, and why."""

import importlib.util
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from neurosono.engine.backends import BACKENDS, REMOTE, Backend, name_precision
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.contracts.server import Server
from neurosono.engine.gpu import find_gpu
from neurosono.engine.kept import keeping
from neurosono.engine.parity import LIMITS, has_passed
from neurosono.engine.timing import find_fastest

BY_PREFERENCE = tuple(name for name in BACKENDS if name != REMOTE)
"""What `auto` tries, fastest first."""

AUTO = "auto"
"""The best that runs here: of engines, and of precisions (the fastest, as timed once)."""

ENGINES = (AUTO, *BACKENDS)

NEEDS_GPU = ("tensorrt", "tensorrt-rtx", "torch-cuda")

KEPT = ("int8", "bf16")
"""Precisions of OpenVINO's engines whose compiled form is kept."""


@dataclass(frozen=True)
class Choice:
    """An open engine, the reason why it was chosen, and why each better one was not.

    It `stands_in` where a server was asked for and has failed.
    """

    backend: Backend
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()
    stands_in: bool = False

    def describe(self) -> dict[str, Any]:
        """Return what `exam.json` says of the engine."""
        return {
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "members": self.backend.members,
            "reason": self.reason,
            **({"stands_in_for": REMOTE} if self.stands_in else {}),
        }


def open_engine(
    bundle: Bundle,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
    avoid: Collection[str] = (),
    streams: int = 1,
    server: Server | None = None,
) -> Choice:
    """Open an engine of `bundle`, by name or the best that opens.

    `streams` is how many pictures OpenVINO may judge at once (see `OpenVinoBackend`). `avoid` names
    engines that failed in this session: they are tried last, with one of a GPU's all of the GPU's,
    and an engine asked for by name gives way to the best other; a `server` only where it was asked
    for with a `fallback`. Raises `BundleError` where the bundle lacks it, `EngineUnavailableError`
    where this host cannot run it.
    """
    if engine not in ENGINES:
        raise EngineUnavailableError(f"no engine {engine!r}: choose one of {list(ENGINES)}")
    precision = _check_precision(precision)
    fallback = server is not None and server.fallback
    asks_server = engine == REMOTE
    rejected: list[tuple[str, str]] = []
    if asks_server and not (fallback and engine in avoid):
        try:
            return _open_remote(bundle, members, server)
        except EngineUnavailableError as error:
            if not fallback:
                raise
            avoid, rejected = {*avoid, engine}, [(engine, str(error))]
    if engine in avoid:
        engine, precision = "auto", None
    if engine != "auto":
        backend, said = _open(engine, bundle, precision, members, (threads, streams))
        return Choice(backend, "; ".join(["asked for", *said]))
    gpu = find_gpu()
    for name in _order(avoid):
        if gpu is None and name in NEEDS_GPU:
            rejected.append((name, "this host has no NVIDIA GPU or driver"))
            continue
        try:
            backend, said = _open(name, bundle, precision, members, (threads, streams))
        except (BundleError, EngineUnavailableError) as error:
            rejected.append((name, str(error)))
            continue
        reason = _explain(backend, rejected, avoid)
        return Choice(backend, "; ".join([reason, *said]), tuple(rejected), stands_in=asks_server)
    # what the engine of every host says is what its user can mend
    _open("openvino", bundle, precision, members, (threads, streams))
    raise EngineUnavailableError("; ".join(f"{name}: {reason}" for name, reason in rejected))


def _order(avoid: Collection[str]) -> list[str]:
    """Return what to try: what failed last, and with one of the GPU's engines the whole GPU."""
    shunned = set(NEEDS_GPU) if set(NEEDS_GPU) & set(avoid) else set()
    return sorted(BY_PREFERENCE, key=lambda name: (name in shunned) + (name in avoid))


def _explain(backend: Backend, rejected: list[tuple[str, str]], avoid: Collection[str]) -> str:
    reason = f"the fastest engine of the bundle that runs here ({backend.precision})"
    failed = [name for name in ENGINES if name in avoid]
    if failed:
        reason += f"; {', '.join(failed)} failed in this session"
    if any(why.startswith("this host has no") for _, why in rejected):
        reason += "; no GPU"
    # what was asked for, or built for the GPU, and does not run is said aloud
    told = [why for name, why in rejected if name in (REMOTE, *NEEDS_GPU) and "has no" not in why]
    return "; ".join([reason, *told])


def _open(
    name: str, bundle: Bundle, precision: str | None, members: int | None, cores: tuple[int, int]
) -> tuple[Backend, list[str]]:
    """Open one of `BY_PREFERENCE`; returns also what there is to say of its precision."""
    if name == "torch":
        return _open_torch(bundle, precision, members), []
    if name == "torch-cuda":
        return _open_torch_cuda(bundle, precision, members), []
    open_entry = _OPEN[name]
    trouble: list[BundleError | EngineUnavailableError] = []
    entries, said = rank_engines(bundle, name, precision, members)
    for entry in entries:
        try:
            return open_entry(bundle, entry, members, cores), said
        except (BundleError, EngineUnavailableError) as error:
            trouble.append(error)  # a slower precision of the same engine may do
    raise trouble[0]


def rank_engines(
    bundle: Bundle, name: str, precision: str | None, members: int | None
) -> tuple[list[EngineEntry], list[str]]:
    """Return a bundle's engines, the one to take first, and what there is to say of that.

    Of OpenVINO's that passed their limits the fastest here, as timed on all cores, whatever a run
    takes of them: a replay, a live session and an archive must not differ in it.
    """
    precision = _check_precision(precision)
    entries = bundle.engines(name, precision, members)
    if name != "openvino" or precision is not None:
        return entries, []
    passed = [entry for entry in entries if has_passed(entry.parity, entry.precision)]
    if not passed:
        raise BundleError(
            f"no OpenVINO engine of {bundle.root} is within its limits: choose one by --precision"
        )
    smallest = {entry.precision: entry for entry in reversed(passed)}  # of the fewest members
    if len(smallest) == 1:
        return passed, []

    def open_one(entry: EngineEntry) -> Backend:
        return _open_openvino(bundle, entry, members, (0, 1))

    timed = find_fastest(bundle, list(smallest.values()), members, open_one)
    if timed is None:
        return passed, []
    order = timed.rank()
    known = [entry for entry in passed if entry.precision in order]
    return sorted(known, key=lambda each: order.index(each.precision)), [timed.describe()]


def _open_openvino(
    bundle: Bundle, entry: EngineEntry, members: int | None, cores: tuple[int, int]
) -> Backend:
    """Open an OpenVINO engine; `cores` are its threads and how many pictures it judges at once."""
    from neurosono.engine.backends.openvino import OpenVinoBackend

    graph = next((file for file in entry.files if file.path.endswith(".xml")), None)
    listed = {file.path for file in entry.files}
    if graph is None or graph.path.removesuffix(".xml") + ".bin" not in listed:
        raise BundleError(
            f"the manifest does not answer for both files of {entry.backend} {entry.precision}, "
            f".xml and .bin: build it again with `neurosono build {bundle.root}`"
        )
    cut = None if members == entry.members else members
    threads, streams = cores
    path = bundle.root / graph.path
    kept = name_precision(entry.precision) in KEPT
    with keeping(entry, path, threads, streams) if kept else nullcontext() as cache:
        backend = OpenVinoBackend(path, entry.precision, cut, threads, cache, streams)
    labels, spec = bundle.manifest.labels, bundle.manifest.preprocessing
    if (backend.classes, backend.size_px) != (len(labels), spec.size_px):
        raise BundleError(
            f"{graph.path} gives {backend.classes} classes of {backend.size_px} px pictures, but "
            f"the manifest has {len(labels)} labels and {spec.size_px} px: build it again with "
            f"`neurosono build {bundle.root}`"
        )
    return backend


def _open_serialized(
    bundle: Bundle, entry: EngineEntry, members: int | None, _cores: tuple[int, int], *, rtx: bool
) -> Backend:
    """Open a TensorRT engine and let it judge the frames that it was built with."""
    from neurosono.engine.backends.serialized import PROBE_NAME, check_probe
    from neurosono.engine.backends.tensorrt import TensorRtBackend
    from neurosono.engine.backends.tensorrt_rtx import TensorRtRtxBackend

    if members not in (None, entry.members):
        raise EngineUnavailableError(
            f"the {entry.backend} engine holds {entry.members} members and cannot be cut: build "
            f"one with `neurosono build {bundle.root} --engine {entry.backend} --members {members}`"
        )
    paths = [bundle.root / file.path for file in entry.files]
    engines = [path for path in paths if path.suffix == ".engine"]
    probe = next((path for path in paths if path.name == PROBE_NAME), None)
    if probe is None or not engines:
        raise BundleError(
            f"the manifest does not answer for the engine and the check frames of {entry.backend} "
            f"{entry.precision}: build it again with `neurosono build {bundle.root}`"
        )
    backend: TensorRtBackend | TensorRtRtxBackend
    if rtx:
        with keeping(entry) as cache:
            kept = None if cache is None else cache / "runtime.cache"
            backend = TensorRtRtxBackend(engines, entry.precision, kept)
    else:
        backend = TensorRtBackend(engines[0], entry.precision, entry.target)
    check_probe(backend.infer, probe, entry.precision)
    return backend


def _open_torch(bundle: Bundle, precision: str | None, members: int | None) -> Backend:
    if precision not in (None, "f32"):
        raise EngineUnavailableError(f"the torch engine computes in f32, not {precision}")
    _require_torch()
    from neurosono.engine.backends.torch import TorchBackend
    from neurosono.engine.members import load_ensemble

    return TorchBackend(load_ensemble(bundle, members))


def _open_torch_cuda(bundle: Bundle, precision: str | None, members: int | None) -> Backend:
    _require_torch()
    from neurosono.engine.backends.torch import TorchCudaBackend
    from neurosono.engine.members import load_ensemble

    size_px = bundle.manifest.preprocessing.size_px
    return TorchCudaBackend(load_ensemble(bundle, members), size_px, precision or "fp16")


def _check_precision(precision: str | None) -> str | None:
    named = None if precision in (None, AUTO) else name_precision(str(precision))
    if named is not None and named not in LIMITS:
        raise EngineUnavailableError(f"no precision {named!r}: choose one of {[AUTO, *LIMITS]}")
    return named


def _open_remote(bundle: Bundle, members: int | None, server: Server | None) -> Choice:
    from neurosono.engine.backends.remote import RemoteBackend

    if server is None:
        raise EngineUnavailableError("the engine `remote` is on a server: name it by --server")
    if members is not None:
        raise EngineUnavailableError(
            "the engine `remote` has the members that its server was given: leave --members out, "
            "and name them at `neurosono export triton`"
        )
    return Choice(RemoteBackend(bundle, server), "asked for")


def _require_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise EngineUnavailableError(
            "the torch engine needs torch: install it with `pip install neurosono[train]`, "
            "or use --engine openvino"
        )


_OPEN: dict[str, Callable[[Bundle, EngineEntry, int | None, tuple[int, int]], Backend]] = {
    "openvino": _open_openvino,
    "tensorrt": partial(_open_serialized, rtx=False),
    "tensorrt-rtx": partial(_open_serialized, rtx=True),
}
