"""A tiny cohort whose classes differ by how bright bars lie."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.training.recipe import Recipe

SPEC = PreprocessingSpec(size_px=64, resize_px=64)
LABELS = ("blank", "rows", "columns")
TINY = Recipe(
    width=0.125,
    weights="random",
    folds=2,
    members=2,
    validation_share=0.4,
    epochs=4,
    full_size_epochs=2,
    early_size_px=32,
    batch=8,
    learning_rate=3e-3,
    crop_area_low=0.8,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def write_cohort(
    root: Path, patients: int = 4, frames: int = 4, labels: tuple[str, ...] = LABELS, seed: int = 0
) -> Cache:
    """Write a cache of `patients` a class, each with `frames` noisy pictures."""
    rng = np.random.default_rng(seed)
    with CacheWriter(root, labels, SPEC, 1, "synthetic") as writer:
        for label in labels:
            for patient in range(patients):
                name = f"{label}-{seed}-{patient}"
                for frame in range(frames):
                    pixels = rng.integers(0, 90, (64, 64), dtype=np.uint8)
                    bars = np.arange(64) // 8 % 2 == int(rng.integers(2))
                    if label == "rows":
                        pixels[bars] += 120
                    if label == "columns":
                        pixels[:, bars] += 120
                    path = f"{label}/{name}/clip.mp4"
                    row = CachedFrame(path, label, name, name, 0, frame, frame / 25, 20.0)
                    writer.add(pixels, row)
        return writer.finish()


@pytest.fixture
def make_cohort(tmp_path: Path) -> Callable[..., Cache]:
    """Return `write_cohort` into the test's own folder."""

    def make(name: str = "cache", **how: object) -> Cache:
        return write_cohort(tmp_path / name, **how)  # type: ignore[arg-type]

    return make
