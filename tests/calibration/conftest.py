"""A tiny trained-looking bundle and a cache of patients that it has not seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter
from neurosono.engine.contracts.manifest import Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import ResNet34

LABELS = ("dark", "bright")
SPEC = PreprocessingSpec(size_px=64, resize_px=64)


def write_cache(root: Path, patients: int = 12, seed: int = 0) -> Cache:
    """Write dark and bright noise, two frames a patient."""
    rng = np.random.default_rng(seed)
    with CacheWriter(root, LABELS, SPEC, 1, "synthetic") as writer:
        for number, label in enumerate(LABELS):
            for patient in range(patients):
                name = f"{label}-{seed}-{patient}"
                level = 60 + 90 * number + int(rng.integers(-30, 30))
                for frame in range(2):
                    pixels = np.clip(rng.normal(level, 40, (64, 64)), 0, 255).astype(np.uint8)
                    row = CachedFrame(f"{label}/{name}/c", label, name, name, 0, frame, 0.0)
                    writer.add(pixels, row)
        return writer.finish()


@pytest.fixture
def held_out(tmp_path: Path) -> Cache:
    """Return a cache of 24 patients."""
    return write_cache(tmp_path / "held-out")


def fitted_member(seed: int, pictures: torch.Tensor, targets: torch.Tensor) -> ResNet34:
    """Return a narrow network with settled batch norms and a last layer fitted to the pictures.

    By least squares: steps of training would carry how a CPU rounds into every answer.
    """
    torch.manual_seed(seed)
    member = ResNet34(len(LABELS), 0.125)
    for module in member.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean of what it sees
    with torch.no_grad():
        member.train()(pictures)
        found = member.eval().feature_maps(pictures).mean((2, 3)).double()
        wanted = 2 * torch.nn.functional.one_hot(targets, len(LABELS)).double() - 1
        middle, apart = found.mean(0), found - found.mean(0)
        ridge = 0.01 * len(found) * torch.eye(len(middle), dtype=torch.float64)
        weight = torch.linalg.solve(apart.T @ apart + ridge, apart.T @ (wanted - wanted.mean(0)))
        member.fc.weight.copy_(weight.T)
        member.fc.bias.copy_(wanted.mean(0) - middle @ weight)
    return member


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return a bundle of two fitted members, without calibration or engines."""
    torch.set_num_threads(1)
    cache = write_cache(tmp_path / "train", patients=6, seed=1)
    pictures = torch.from_numpy(np.array(cache.frames)).unsqueeze(1).float()
    pictures = ((pictures / 255 - 0.45) / 0.225).expand(-1, 3, -1, -1)
    root = tmp_path / "bundle"
    (root / "members").mkdir(parents=True)
    members = []
    for number in range(2):
        path = f"members/{number:02d}.safetensors"
        member = fitted_member(number, pictures, torch.from_numpy(cache.targets))
        save_file({k: v.contiguous() for k, v in member.state_dict().items()}, root / path)
        members.append(Member(f"{number:02d}", 0.125, file_of(root, path)))
    write_manifest(root, Manifest("tiny", LABELS, SPEC, tuple(members)))
    return Bundle.load(root)
