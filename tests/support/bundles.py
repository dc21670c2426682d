"""Small real bundles: random weights, every file in place."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from neurosono.engine.backends.openvino import save
from neurosono.engine.builders.openvino import convert
from neurosono.engine.bundle import file_of, write_calibration, write_manifest
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.manifest import EngineEntry, Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import Ensemble, ResNet34


def make_ensemble(
    members: int = 2, width: float = 0.125, size_px: int = 64, seed: int = 0
) -> Ensemble:
    """Return an ensemble of random weights whose batch norms have seen data."""
    torch.manual_seed(seed)
    networks = [ResNet34(len(DEFAULT_LABELS), width) for _ in range(members)]
    ensemble = Ensemble(networks, PreprocessingSpec(size_px=size_px))
    ensemble.train()
    with torch.no_grad():
        for _ in range(3):
            ensemble(torch.randint(0, 256, (8, 1, size_px, size_px), dtype=torch.uint8))
    return ensemble.eval()


def make_bundle(
    root: Path, members: int = 2, width: float = 0.125, size_px: int = 64, seed: int = 0
) -> Path:
    """Write a bundle with safetensors members and one f32 OpenVINO engine; returns `root`."""
    ensemble = make_ensemble(members, width, size_px, seed)
    (root / "members").mkdir(parents=True)
    entries = []
    for index, network in enumerate(ensemble.members):
        path = f"members/member-{index:02d}.safetensors"
        save_file(network.state_dict(), root / path)
        entries.append(Member(f"member-{index:02d}", width, file_of(root, path)))
    folder = "engines/openvino-f32"
    save(convert(ensemble, size_px), root / folder, "f32")
    files = tuple(file_of(root, f"{folder}/model.{suffix}") for suffix in ("xml", "bin"))
    manifest = Manifest(
        name="test",
        labels=DEFAULT_LABELS,
        preprocessing=PreprocessingSpec(size_px=size_px),
        members=tuple(entries),
        calibration=write_calibration(root, Calibration(temperature=1.5)),
        engines=(EngineEntry("openvino", "f32", members, files),),
        card={"intended_use": "tests"},
    )
    write_manifest(root, manifest)
    return root
