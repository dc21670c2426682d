"""Bundles for the pipeline's check: random weights that have seen pictures, and broken copies."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from neurosono.engine.bundle import Bundle, file_of, write_calibration, write_manifest
from neurosono.engine.contracts.architecture import RESNET34
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.manifest import EngineEntry, Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import make_network

OTHER_CARD = {"gpu": "NVIDIA T4", "compute_capability": "7.5", "tensorrt": "10.0.0"}


def write_random_bundle(
    root: Path, members: int, width: float, size_px: int, device: str
) -> Manifest:
    """Write a bundle of members of random weights, without a built engine."""
    torch.manual_seed(0)
    networks = [make_network(RESNET34, len(DEFAULT_LABELS), width, size_px) for _ in range(members)]
    spec = PreprocessingSpec(size_px=size_px)
    ensemble = Ensemble(networks, spec).to(device).train()
    with torch.no_grad():
        for _ in range(3):
            grey = torch.randint(0, 256, (8, 1, size_px, size_px), dtype=torch.uint8)
            ensemble(grey.to(device))
    (root / "members").mkdir(parents=True)
    entries = []
    for number, network in enumerate(ensemble.eval().cpu().members):
        path = f"members/{number:02d}.safetensors"
        save_file(network.state_dict(), root / path)
        entries.append(Member(f"{number:02d}", width, file_of(root, path)))
    manifest = Manifest(
        name="gpu-check",
        labels=DEFAULT_LABELS,
        preprocessing=spec,
        members=tuple(entries),
        calibration=write_calibration(root, Calibration(temperature=1.5)),
        card={"intended_use": "To measure the pipeline: its weights are random."},
    )
    write_manifest(root, manifest)
    return manifest


def copy_linked(root: Path, out: Path) -> Path:
    """Copy a bundle without its bytes; what is to be altered must be taken out first."""
    shutil.copytree(root, out, copy_function=os.link)
    return out


def truncate_weights(root: Path, out: Path, *, sworn: bool) -> Path:
    """Copy a bundle whose first member ends half-way; `sworn`: as its manifest says."""
    copy_linked(root, out)
    manifest = Bundle.load(root).manifest
    first = manifest.members[0]
    assert first.file is not None
    path = out / first.file.path
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])
    if sworn:
        other = replace(first, file=file_of(out, first.file.path))
        (out / "manifest.json").unlink()
        write_manifest(out, replace(manifest, members=(other, *manifest.members[1:])))
    return out


def add_foreign_engine(root: Path, out: Path, backend: str, name: str, blob: bytes) -> Path:
    """Copy a bundle and enter an engine that another card's builder made, or that is torn."""
    copy_linked(root, out)
    manifest = Bundle.load(root).manifest
    folder = f"engines/{backend}-fp16"
    (out / folder).mkdir(parents=True)
    for path, data in ((name, blob), ("probe.npz", b"PK")):
        (out / folder / path).write_bytes(data)
    files = tuple(file_of(out, f"{folder}/{path}") for path in (name, "probe.npz"))
    entry = EngineEntry(backend, "fp16", len(manifest.members), files, OTHER_CARD, {})
    (out / "manifest.json").unlink()
    write_manifest(out, replace(manifest, engines=(entry, *manifest.engines)))
    return out
