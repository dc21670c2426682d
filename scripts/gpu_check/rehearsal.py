"""Discs of two widths in noise, as the folders that the step reads: a rehearsal needs no data."""

from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.cache import CachedFrame, CacheWriter
from neurosono.engine.contracts.labels import NORMAL_LABEL
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.scripts.gpu_check.ventricles import ATLAS, NORMALS, POOL, TEST, TRAIN
from neurosono.training.atlas import FINDING, OTHER

SIZE_PX = 32


def draw_folders(root: Path, patients: int = 5) -> None:
    """Write every folder, `patients` a class of each, in two pictures."""
    for number, name in enumerate((TRAIN, TEST, ATLAS, NORMALS, POOL)):
        labels = (OTHER if name == ATLAS else NORMAL_LABEL, FINDING)
        count = 2 if name in (TEST, NORMALS) else patients
        drawn = labels[:1] if name == NORMALS else labels
        rng = np.random.default_rng(number)
        spec = PreprocessingSpec(size_px=SIZE_PX, resize_px=SIZE_PX)
        with CacheWriter(root / name, labels, spec, 1, "discs") as cache:
            for label in drawn:
                for patient in range(count):
                    _add(cache, label, f"{name}-{label}-{patient}", rng)
            cache.finish()


def _add(cache: CacheWriter, label: str, patient: str, rng: np.random.Generator) -> None:
    for frame in range(2):
        row = CachedFrame(f"{patient}.png", label, patient, patient, 0, frame, frame / 2)
        cache.add(_draw(9 if label == FINDING else 5, rng), row)


def _draw(radius_px: int, rng: np.random.Generator) -> Pixels:
    picture = rng.integers(0, 90, (SIZE_PX, SIZE_PX), np.uint8)
    x, y = (int(each) for each in rng.integers(11, SIZE_PX - 11, 2))
    cv2.circle(picture, (x, y), radius_px, int(rng.integers(140, 250)), -1)
    return picture
