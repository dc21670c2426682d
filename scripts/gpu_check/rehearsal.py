"""Small frame caches for rehearsals: drawn ones, or a few pictures of large ones, made smaller."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.cache import SUMMARY_NAME, Cache, CachedFrame
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.scripts.gpu_check.packing import lay_out, write_cache
from neurosono.scripts.gpu_check.record import Found

SIZE_PX = 32
PATIENTS, FRAMES = 3, 2
"""Of each class, and of each patient."""


def draw_cache(
    root: Path, labels: Sequence[str], seed: int, patients: int = PATIENTS, drawn: int = 9
) -> Cache:
    """Write a cache whose classes, the first `drawn` of them, are bars of other width in noise."""
    rng, rows, pictures = np.random.default_rng(seed), [], []
    for number, label in enumerate(labels[:drawn]):
        for patient in range(patients):
            name = f"{label}-{seed}-{patient}"
            for frame in range(FRAMES):
                picture = rng.integers(0, 90, (SIZE_PX, SIZE_PX), dtype=np.uint8)
                shift = int(rng.integers(SIZE_PX))
                picture[:, (np.arange(SIZE_PX) + shift) // (2 + number) % 2 == 1] += 120
                path = f"{label}/{name}/clip.mp4"
                rows.append(CachedFrame(path, label, name, name, 0, frame, frame / 5, 20.0))
                pictures.append(picture)
    spec = PreprocessingSpec(size_px=SIZE_PX, resize_px=SIZE_PX)
    return write_cache(root, (tuple(labels), spec, 1, "drawn"), rows, pictures)


def lay_out_few(data: Path, root: Path, names: Sequence[str], needed: Sequence[str]) -> Found:
    """Put of every cache of `data` a few small pictures into `root`, and what else it has whole."""
    whole = root / "whole"
    found = lay_out(data, whole, names, needed)
    for name in (each for each in names if (whole / each).exists()):
        if (whole / name / SUMMARY_NAME).is_file():
            shrink_cache(Cache.load(whole / name), root / name)
        else:
            (root / name).symlink_to(whole / name, target_is_directory=True)
    return found


def shrink_cache(cache: Cache, root: Path) -> Cache:
    """Write a cache of the first patients and frames of each class, averaged down."""
    left: dict[str, int] = {}
    for label in cache.labels:
        patients = [name for name, found in cache.label_of_patient.items() if found == label]
        left |= dict.fromkeys(patients[:PATIENTS], FRAMES)
    rows, pictures = [], []
    for row, frame in zip(cache.rows, cache.frames, strict=True):
        if left.get(row.patient, 0) > 0:
            left[row.patient] -= 1
            rows.append(row)
            small = cv2.resize(np.asarray(frame), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
            pictures.append(np.asarray(small, dtype=np.uint8))
    spec = replace(cache.spec, size_px=SIZE_PX, resize_px=SIZE_PX)
    return write_cache(root, (cache.labels, spec, cache.every, cache.source_digest), rows, pictures)
