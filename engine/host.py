"""What this host has, and which engines it can really run."""

import importlib.metadata
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from engine.bundle import Bundle
from engine.contracts.errors import BundleError

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
    "tensorrt-rtx-cu13",
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
        "processor": _read_processor(),
        "cores": str(len(os.sched_getaffinity(0))),
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
    for name, probe in _PROBES.items():
        runs, reason = probe()
        built = tuple(f"{e.precision} x{e.members}" for e in entries if e.backend == name)
        probes.append(EngineProbe(name, runs, reason + missing, built))
    return probes


def _read_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _read_processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (a kernel file)
            lines = [line for line in file if line.startswith("model name")]
        return lines[0].split(":", 1)[1].strip() if lines else platform.processor()
    except OSError:
        return platform.processor()


def _probe_openvino() -> tuple[bool, str]:
    try:
        import openvino as ov

        core = ov.Core()
        formats = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except (ImportError, RuntimeError) as error:
        return False, f"OpenVINO does not load: {error}"
    known = [f for f in ("FP32", "BF16", "FP16", "INT8") if f in formats]
    return True, f"CPU with {', '.join(known)}"


def _probe_torch(device: str) -> tuple[bool, str]:
    if _read_version("torch") == "not installed":
        return False, "torch is not installed: pip install neurosono[train]"
    import torch

    if device == "cpu":
        return True, "the reference, in f32; slow"
    if not torch.cuda.is_available():
        return False, "torch finds no NVIDIA GPU or driver"
    return True, torch.cuda.get_device_name()


def _probe_tensorrt() -> tuple[bool, str]:
    runs, reason = _probe_torch("cuda")
    if not runs:
        return False, reason
    if _read_version("torch-tensorrt") == "not installed":
        return False, "torch-tensorrt is not installed"
    return False, "this release does not build TensorRT engines yet"


_PROBES: dict[str, Callable[[], tuple[bool, str]]] = {
    "openvino": _probe_openvino,
    "torch": lambda: _probe_torch("cpu"),
    "torch-cuda": lambda: _probe_torch("cuda"),
    "tensorrt": _probe_tensorrt,
}
