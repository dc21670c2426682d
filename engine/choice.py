"""Which engine to run: the best that this host really can, and why."""

import importlib.util
from dataclasses import dataclass
from typing import Any

from engine.backends import Backend
from engine.bundle import Bundle
from engine.contracts.errors import BundleError, EngineUnavailableError
from engine.contracts.manifest import EngineEntry

ENGINES = ("auto", "openvino", "torch")


@dataclass(frozen=True)
class Choice:
    """An open engine and the reason why it was chosen."""

    backend: Backend
    reason: str

    def describe(self) -> dict[str, Any]:
        """Return what `exam.json` says of the engine."""
        return {
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "members": self.backend.members,
            "reason": self.reason,
        }


def open_engine(
    bundle: Bundle,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
) -> Choice:
    """Open an engine of `bundle`.

    Raises `BundleError` where the bundle lacks it, `EngineUnavailableError` where this host cannot
    run it.
    """
    if engine not in ENGINES:
        raise EngineUnavailableError(f"no engine {engine!r}: choose one of {list(ENGINES)}")
    if engine == "torch":
        return Choice(_open_torch(bundle, precision, members), "asked for")
    entry = bundle.engine("openvino", precision, members)
    reason = "asked for" if engine == "openvino" else _explain(entry)
    return Choice(_open_openvino(bundle, entry, members, threads), reason)


def _explain(entry: EngineEntry) -> str:
    return f"the fastest OpenVINO engine of the bundle ({entry.precision}); no GPU engine is built"


def _open_openvino(
    bundle: Bundle, entry: EngineEntry, members: int | None, threads: int
) -> Backend:
    from engine.backends.openvino import OpenVinoBackend

    graph = next((file for file in entry.files if file.path.endswith(".xml")), None)
    listed = {file.path for file in entry.files}
    if graph is None or graph.path.removesuffix(".xml") + ".bin" not in listed:
        raise BundleError(
            f"the manifest does not answer for both files of {entry.backend} {entry.precision}, "
            f".xml and .bin: build it again with `neurosono build {bundle.root}`"
        )
    backend = OpenVinoBackend(bundle.root / graph.path, entry.precision, members, threads)
    labels, spec = bundle.manifest.labels, bundle.manifest.preprocessing
    if (backend.classes, backend.size_px) != (len(labels), spec.size_px):
        raise BundleError(
            f"{graph.path} gives {backend.classes} classes of {backend.size_px} px pictures, but "
            f"the manifest has {len(labels)} labels and {spec.size_px} px: build it again with "
            f"`neurosono build {bundle.root}`"
        )
    return backend


def _open_torch(bundle: Bundle, precision: str | None, members: int | None) -> Backend:
    if precision not in (None, "f32"):
        raise EngineUnavailableError(f"the torch engine computes in f32, not {precision}")
    if importlib.util.find_spec("torch") is None:
        raise EngineUnavailableError(
            "the torch engine needs torch: install it with `pip install neurosono[train]`, "
            "or use --engine openvino"
        )
    from engine.backends.torch import TorchBackend
    from engine.members import load_ensemble

    return TorchBackend(load_ensemble(bundle, members))
