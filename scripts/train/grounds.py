"""Pictures to write on: real ones and phantoms, cut out of their screens as a replay cuts them."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.preprocess import to_grey
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.screen.find import find_region
from neurosono.stream.screen.marks import find_text, working_size
from neurosono.stream.sources import open_source
from neurosono.training.letters.fit import PAGE_PX, Background

CLIP_PICTURES = (5, 40)
"""Of a clip: far enough apart to differ."""
PATIENT = re.compile(r"(Patient\d+)_|(\d+)_\d*HC")
"""How FETAL_PLANES_DB and HC18 name whose picture it is; of other files each is its own patient."""
HELD_OUT_ONE_IN = 5
FIRST_SEED = 9000
PHANTOM_SECONDS = 16
VIEWS_EACH = 3
"""Of a generated exam: heads, faces, backbones and what lies beside them look least alike."""
SIZES_PX = ((800, 600), (1024, 768), (1280, 960))


def gather_grounds(
    folder: Path, phantoms: int, first_phantom: int = 0
) -> Iterator[tuple[Background, bool]]:
    """Yield pictures to write on, and whether their patient is held out for measuring.

    `phantoms` exams are generated, the first of which is number `first_phantom`. `folder` holds
    stills and clips of ultrasound, to any depth; what cannot be read is no picture.
    Raises `InputError` where there is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give one with pictures of ultrasound")
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        for pixels in _open_few(file):
            if (ground := _cut(pixels)) is not None:
                yield ground, is_held_out(_name_patient(file.name))
    for seed in range(first_phantom, first_phantom + phantoms):
        for screen, picture in _draw_phantom(seed):
            if (ground := _cut(screen, picture)) is not None:
                # nothing is written on it, sharp as the sector's edges may be
                ground = replace(ground, unsure=np.zeros_like(ground.unsure), bare=True)
                yield ground, is_held_out(f"ph{FIRST_SEED + seed}")


def is_held_out(patient: str) -> bool:
    """Whether a patient is never learnt from: by the name's own hash, for good."""
    return zlib.crc32(patient.encode()) % HELD_OUT_ONE_IN == 0


def _name_patient(name: str) -> str:
    found = PATIENT.match(name)
    if found is None:
        return name
    return found[1] or f"hc{found[2]}"


def _open_few(file: Path) -> Iterator[Pixels]:
    try:
        source = open_source([str(file)])
        pictures = iter(source.pictures())
        first = next(pictures)
        later = [p.pixels for k, p in zip(range(1, CLIP_PICTURES[-1] + 1), pictures, strict=False)
                 if k in CLIP_PICTURES]  # fmt: skip
    except (SourceError, StopIteration):
        return
    yield from later or [first.pixels]


def _draw_phantom(seed: int) -> list[tuple[Pixels, Pixels]]:
    """Return screens of one generated exam, of planes as different as it has, and their pictures.

    The latter are the same without the scanner's own words, which reach into what is cut out.
    """
    label, size = DEFAULT_LABELS[seed % len(DEFAULT_LABELS)], SIZES_PX[seed % len(SIZES_PX)]
    spec = PhantomSpec(
        label,
        seed=FIRST_SEED + seed,
        seconds=PHANTOM_SECONDS,
        fps=1,
        width_px=size[0],
        height_px=size[1],
    )
    seen: dict[str, tuple[Pixels, Pixels]] = {}
    for frame, bare in zip(
        exam_frames(spec), exam_frames(replace(spec, screen=False)), strict=True
    ):
        if frame.kind in ("bmode", "nonfetal") and frame.index > 1:
            seen.setdefault(f"{frame.kind} {frame.plane}", (frame.pixels, bare.pixels))
    order = np.random.default_rng(seed).permutation(len(seen))[:VIEWS_EACH]
    return [list(seen.values())[k] for k in order]


def _cut(pixels: Pixels, shown: Pixels | None = None) -> Background | None:
    """Cut the ultrasound out, and mark where sharp edges on black are letters already.

    `shown` is what is cut out instead, where that is another picture of the same.
    """
    region = find_region([pixels])
    if region is None or min(region.w, region.h) < PAGE_PX // 2:
        return None
    grey = np.ascontiguousarray(region.crop(to_grey(pixels if shown is None else shown)))
    text = cv2.resize(find_text(grey, working_size(grey)[1]), grey.shape[::-1])
    unsure = cv2.dilate(text, np.ones((9, 9), np.uint8)) > 0
    scale = max(1.0, (PAGE_PX + 4) / min(grey.shape))
    if scale > 1:
        size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC)
        unsure = cv2.resize(unsure.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return Background(np.asarray(grey, dtype=np.uint8), unsure)
