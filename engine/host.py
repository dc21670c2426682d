"""What this host has, and which engines it can really run."""

import importlib.metadata
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import BY_PREFERENCE, open_engine
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError, InputError
from neurosono.engine.gpu import Gpu, find_gpu
from neurosono.engine.timing import read_processor

PACKAGES = (
    "neurosono",
    "numpy",
    "av",
    "opencv-python-headless",
    "openvino",
    "pyzmq",
    "pydicom",
    "python-gdcm",
    "torch",
    "torchvision",
    "grad-cam",
    "nncf",
    "torch-tensorrt",
    "nvidia-modelopt",
    "tensorrt-rtx-cu13",
    "cuda-bindings",
)


@dataclass(frozen=True)
class EngineProbe:
    """Whether an engine runs on this host, why, and which of it the bundle has."""

    engine: str
    runs: bool
    reason: str
    built: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the probe as JSON."""
        return asdict(self)


def describe_host() -> dict[str, str]:
    """Return versions and hardware, in words."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "processor": read_processor() or platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "gpu": _describe_gpu(find_gpu()),
    }
    return found | {package: _read_version(package) for package in PACKAGES}


def probe_engines(bundle_name: str) -> list[EngineProbe]:
    """Try each engine on this host; `built` lists what the bundle has of it."""
    try:
        entries = Bundle.load(bundle_name).manifest.engines
        missing = ""
    except BundleError as error:
        entries, missing = (), f"; {error}"
    probes = []
    for name in BY_PREFERENCE:
        runs, reason = _PROBES[name]()
        built = tuple(f"{e.precision} x{e.members}" for e in entries if e.backend == name)
        probes.append(EngineProbe(name, runs, reason + missing, built))
    return probes


def explain_auto(bundle_name: str) -> dict[str, Any]:
    """Open what `auto` takes of a bundle; return it, why, and why nothing better (by engine)."""
    try:
        choice = open_engine(Bundle.load(bundle_name))
    except InputError as error:
        return {"backend": None, "reason": str(error), "rejected": {}}
    return choice.describe() | {"rejected": dict(choice.rejected)}


def describe_familiarity(bundle_name: str) -> str:
    """Return whether a bundle tells pictures that it was not trained on, in a sentence."""
    try:
        entry = Bundle.load(bundle_name).manifest.familiarity
    except BundleError as error:
        return str(error)
    if entry is None:
        return (
            "the bundle lacks one: it judges pictures of any kind as if it knew them; "
            "`neurosono calibrate BUNDLE --cache HELD-OUT` adds one"
        )
    own = entry.card["own"]
    return f"refuses {own['refused']:.1%} of {own['frames']} frames of its own kind"


def _read_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _probe_openvino() -> tuple[bool, str]:
    try:
        import openvino as ov

        core = ov.Core()
        formats = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except (ImportError, RuntimeError) as error:
        return False, f"OpenVINO does not load: {error}"
    known = [f for f in ("FP32", "BF16", "FP16", "INT8") if f in formats]
    return True, f"CPU with {', '.join(known)}"


def _describe_gpu(gpu: Gpu | None) -> str:
    if gpu is None:
        return "no NVIDIA GPU or driver"
    return f"{gpu.name}, compute capability {gpu.compute_capability}, driver for CUDA {gpu.driver}"


def _probe_torch() -> tuple[bool, str]:
    if _read_version("torch") == "not installed":
        return False, "torch is not installed: pip install neurosono[train]"
    return True, "the reference, in f32; slow"


def _probe_torch_cuda() -> tuple[bool, str]:
    runs, reason = _probe_torch()
    if not runs or find_gpu() is None:
        return False, reason if not runs else _describe_gpu(None)
    import torch

    if not torch.cuda.is_available():
        return False, "torch finds no GPU: this build of it is for the CPU, or the driver too old"
    return True, f"{torch.cuda.get_device_name()}; reads the members' weights, builds nothing"


def _probe_library(load: Callable[[], Any]) -> tuple[bool, str]:
    try:
        library = load()
    except EngineUnavailableError as error:
        return False, str(error)
    gpu = find_gpu()
    version = f"version {library.__version__}"
    if gpu is None:
        return False, f"{_describe_gpu(None)}; {version} is installed"
    return True, f"{version} on {gpu.name}"


def _probe_tensorrt() -> tuple[bool, str]:
    from neurosono.engine.backends.tensorrt import load_library

    return _probe_library(load_library)


def _probe_tensorrt_rtx() -> tuple[bool, str]:
    from neurosono.engine.backends.tensorrt_rtx import load_library

    return _probe_library(load_library)


_PROBES: dict[str, Callable[[], tuple[bool, str]]] = {
    "tensorrt": _probe_tensorrt,
    "tensorrt-rtx": _probe_tensorrt_rtx,
    "torch-cuda": _probe_torch_cuda,
    "openvino": _probe_openvino,
    "torch": _probe_torch,
}
