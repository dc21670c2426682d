"""Small caches for a rehearsal: of drawn pictures, or a few of a large cache's, made smaller."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.cache import Cache, CachedFrame
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.scripts.gpu_check.paper_packing import write_cache

SIZE_PX = 32
PATIENTS, FRAMES = 3, 2
"""Of each class, and of each patient."""


def draw_cache(root: Path, seed: int) -> Cache:
    """Write a cache whose classes are bars of different width in noise."""
    rng = np.random.default_rng(seed)
    rows: list[CachedFrame] = []
    pictures = []
    for number, label in enumerate(DEFAULT_LABELS):
        for patient in range(PATIENTS):
            name = f"{label}-{seed}-{patient}"
            for frame in range(FRAMES):
                picture = rng.integers(0, 90, (SIZE_PX, SIZE_PX), dtype=np.uint8)
                shift = int(rng.integers(SIZE_PX))
                bars = (np.arange(SIZE_PX) + shift) // (2 + number) % 2 == 1
                picture[:, bars] += 120
                path = f"{label}/{name}/clip.mp4"
                rows.append(CachedFrame(path, label, name, name, 0, frame, frame / 5, 20.0))
                pictures.append(picture)
    spec = PreprocessingSpec(size_px=SIZE_PX, resize_px=SIZE_PX)
    return write_cache(root, (DEFAULT_LABELS, spec, 1, "drawn"), rows, pictures)


def shrink_cache(cache: Cache, root: Path) -> Cache:
    """Write a cache of the first patients and frames of each class, averaged down."""
    wanted: dict[str, int] = {}
    for label in cache.labels:
        patients = [name for name, found in cache.label_of_patient.items() if found == label]
        wanted |= dict.fromkeys(patients[:PATIENTS], FRAMES)
    rows: list[CachedFrame] = []
    pictures = []
    for number, row in enumerate(cache.rows):
        if wanted.get(row.patient, 0) > 0:
            wanted[row.patient] -= 1
            rows.append(row)
            side = (SIZE_PX, SIZE_PX)
            frame = np.asarray(cache.frames[number])
            small = cv2.resize(frame, side, interpolation=cv2.INTER_AREA)
            pictures.append(np.asarray(small, dtype=np.uint8))
    spec = replace(cache.spec, size_px=SIZE_PX, resize_px=SIZE_PX)
    source = (cache.labels, spec, cache.every, cache.source_digest)
    return write_cache(root, source, rows, pictures)
