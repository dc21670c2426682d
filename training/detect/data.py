"""The detector's data: squares as the engine sees them, and what is known of each."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags, Integers, Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import letterbox_box, preprocess
from neurosono.training.detect.rows import Row
from neurosono.training.detect.subject import STRUCTURES_SUBJECT, Subject
from neurosono.training.detect.tables import RealPicture
from neurosono.training.squares import PHANTOM

SIZE_PX = 320
"""Decision: heads and ventricles are still plain; 416 px costs 1.7 times as much."""

SAME_SHAPE = 0.01
"""Of its width, how much a picture may be squeezed and still tell its scale by a ruler."""


def to_square(picture: Pixels, row: Row, size_px: int = SIZE_PX) -> tuple[Pixels, Row]:
    """Return a picture (H, W) letterboxed as the engine does it, and its row in those pixels.

    `row` is in pixels of `picture`; of a picture's scale, the square's is worked out.
    """
    height, width = picture.shape[:2]
    x, y, w, h = letterbox_box(height, width, size_px)
    sx, sy = w / width, h / height
    matrix = np.array([[sx, 0, 0.5 * sx - 0.5 + x], [0, sy, 0.5 * sy - 0.5 + y]])
    square = preprocess(picture, PreprocessingSpec(size_px=size_px, resize_px=1024))
    found = row.mapped(matrix)
    if row.mm_per_px is not None:
        found = Row(**{**vars(found), "mm_per_px": row.mm_per_px * 2 / (sx + sy)})
    return square, found


def open_real(
    picture: RealPicture,
    size_px: int = SIZE_PX,
    read_scale: Callable[[Pixels], float | None] = lambda _: None,
) -> tuple[Pixels, Row]:
    """Return a real picture's square, its squeeze undone; raises `InputError`.

    Where the tables tell no scale, `read_scale` may find one on the picture as it is, millimetres
    per pixel, unless it was squeezed.
    """
    pixels = cv2.imread(str(picture.path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise InputError(f"{picture.row.path} is no picture that can be read: take its line out")
    found = pixels.shape[1], pixels.shape[0]
    if found != (picture.width_px, picture.height_px):
        raise InputError(
            f"{picture.row.path} has {found[0]} x {found[1]} pixels, its table says "
            f"{picture.width_px} x {picture.height_px}: boxes would stand in the wrong place"
        )
    wide, row = max(1, round(picture.aspect * picture.height_px)), picture.row
    if abs(wide - picture.width_px) <= SAME_SHAPE * wide and row.mm_per_px is None:
        row = replace(row, mm_per_px=read_scale(np.asarray(pixels, np.uint8)))
    if wide != picture.width_px:
        way = cv2.INTER_AREA if wide < picture.width_px else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (wide, picture.height_px), interpolation=way)
    return to_square(np.asarray(pixels, np.uint8), row, size_px)


@dataclass(frozen=True)
class DetectData:
    """Squares (N, S, S) uint8, their rows, and a line of attribution a source; checked."""

    rows: tuple[Row, ...]
    frames: Pixels
    attribution: tuple[str, ...]
    digest: str
    subject: Subject = STRUCTURES_SUBJECT
    """What is to be learnt of them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what boxes are of."""
        return self.subject.labels

    @property
    def size_px(self) -> int:
        """Return the squares' side."""
        return int(self.frames.shape[1])

    @classmethod
    def load(cls, root: Path, subject: Subject = STRUCTURES_SUBJECT) -> Self:
        """Open the folder; raise `InputError` where it is not whole, or was altered."""
        return cls(*subject.shelf.read(root, _parse), subject)

    def choose(self, fold: int | None, held_out: bool) -> Integers:
        """Return the rows of patients in `fold`, or of all others; None is everyone's."""
        if fold is None:
            return np.arange(0 if held_out else len(self.rows))
        return np.array([k for k, r in enumerate(self.rows) if (r.fold == fold) == held_out])

    def count(self) -> dict[str, dict[str, int]]:
        """Return pictures and patients by `source/plane`."""
        names = [f"{row.source}/{row.plane or 'plane not told'}" for row in self.rows]
        pictures = Counter(names)
        patients = {name: set[str]() for name in pictures}
        for name, row in zip(names, self.rows, strict=True):
            patients[name].add(row.patient)
        return {
            name: {"pictures": pictures[name], "patients": len(patients[name])}
            for name in sorted(pictures)
        }

    @property
    def real(self) -> Flags:
        """Return (N,): whether the picture is a scanner's and not generated."""
        return np.array([row.source != PHANTOM for row in self.rows])


def write_detect_data(
    root: Path,
    found: Iterable[tuple[Pixels, Row]],
    attribution: Sequence[str],
    subject: Subject = STRUCTURES_SUBJECT,
) -> DetectData:
    """Write squares and rows aside, rename, and open; raises `OutputError`, `InputError`."""
    pairs = list(found)
    index = "".join(json.dumps(row.to_json()) + "\n" for _, row in pairs)
    subject.shelf.write(root, [square for square, _ in pairs], index, attribution)
    return DetectData.load(root, subject)


def _parse(index: str) -> list[Row]:
    return [Row.from_json(json.loads(line)) for line in index.splitlines()]
