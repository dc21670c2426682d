"""What the pipeline's check works on: bundles of random weights, and broken copies of them."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from neurosono.engine.bundle import Bundle, file_of, write_calibration, write_manifest
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.manifest import EngineEntry, Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.scripts.gpu_check.measures import make_ensemble
from neurosono.scripts.gpu_check.record import Record

OTHER_CARD = {"gpu": "NVIDIA T4", "compute_capability": "7.5", "tensorrt": "10.0.0"}


@dataclass(frozen=True)
class Scale:
    """How large everything is: on a card, or rehearsed on the processor."""

    members: int
    width: float
    size_px: int
    engine: str
    precision: str
    bench_s: float

    @property
    def engine_words(self) -> tuple[str, ...]:
        """What the commands are told of the engine."""
        return ("--engine", self.engine, "--precision", self.precision)


CARD = Scale(5, 1.0, 224, "torch-cuda", "fp16", 10.0)
REHEARSAL = Scale(2, 0.125, 64, "torch", "f32", 1.5)


@dataclass(frozen=True)
class Check:
    """One run of the step: its size, and where it writes what it finds."""

    record: Record
    scale: Scale

    def __post_init__(self) -> None:
        (self.record.work / "clips").mkdir()

    @property
    def on_card(self) -> bool:
        """Whether there is a GPU in it."""
        return self.scale is CARD

    @property
    def work(self) -> Path:
        """A folder for all its files."""
        return self.record.work

    @property
    def bundle(self) -> Path:
        """Where the bundle is."""
        return self.work / "bundle"

    @property
    def clip(self) -> Path:
        """Where the clip is that sessions read."""
        return self.work / "clips" / "once.mp4"

    def limit(self, most_s: float) -> float:
        """Return for how long a command may run that may take `most_s`."""
        return min(most_s, self.record.clock.left_s)


def write_random_bundle(root: Path, scale: Scale, device: str) -> Manifest:
    """Write a bundle of members of random weights, without a built engine."""
    seen = np.random.default_rng(0).integers(0, 256, (24, scale.size_px, scale.size_px), np.uint8)
    ensemble = make_ensemble(scale.members, scale.width, device, seen).cpu()
    (root / "members").mkdir(parents=True)
    entries = []
    for number, network in enumerate(ensemble.members):
        path = f"members/{number:02d}.safetensors"
        save_file(network.state_dict(), root / path)
        entries.append(Member(f"{number:02d}", scale.width, file_of(root, path)))
    manifest = Manifest(
        name="gpu-check",
        labels=DEFAULT_LABELS,
        preprocessing=PreprocessingSpec(size_px=scale.size_px),
        members=tuple(entries),
        calibration=write_calibration(root, Calibration(temperature=1.5)),
        card={"intended_use": "To measure the pipeline: its weights are random."},
    )
    write_manifest(root, manifest)
    return manifest


def copy_linked(root: Path, out: Path) -> Manifest:
    """Copy a bundle without its bytes, and take out the manifest, which it returns."""
    shutil.copytree(root, out, copy_function=os.link)
    (out / "manifest.json").unlink()
    return Bundle.load(root).manifest


def truncate_weights(root: Path, out: Path, *, sworn: bool) -> Path:
    """Copy a bundle whose first member ends half-way; `sworn`: as its manifest says."""
    manifest = copy_linked(root, out)
    first, *others = manifest.members
    assert first.file is not None
    path = out / first.file.path
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])
    if sworn:
        first = replace(first, file=file_of(out, first.file.path))
    write_manifest(out, replace(manifest, members=(first, *others)))
    return out


def add_foreign_engine(root: Path, out: Path, backend: str, name: str, blob: bytes) -> Path:
    """Copy a bundle and enter an engine that another card's builder made, or that is torn."""
    manifest = copy_linked(root, out)
    folder = f"engines/{backend}-fp16"
    (out / folder).mkdir(parents=True)
    for path, data in ((name, blob), ("probe.npz", b"PK")):
        (out / folder / path).write_bytes(data)
    files = tuple(file_of(out, f"{folder}/{path}") for path in (name, "probe.npz"))
    entry = EngineEntry(backend, "fp16", len(manifest.members), files, OTHER_CARD, {})
    write_manifest(out, replace(manifest, engines=(entry, *manifest.engines)))
    return out
