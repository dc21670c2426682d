"""The detector's data on disk: squares as the engine sees them, and what is known of each.

`frames.npy` is uint8 (N, S, S), `index.jsonl` a line a square, `structures-data.json` the schema,
the sources with their licences, and the digest of both.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import letterbox_box, preprocess
from neurosono.training.detect.rows import PHANTOM, Row
from neurosono.training.detect.tables import RealPicture

SCHEMA = "neurosono-structures-data/1"
FRAMES_NAME, INDEX_NAME, SUMMARY_NAME = "frames.npy", "index.jsonl", "structures-data.json"
SIZE_PX = 320
"""Decision: heads and ventricles are still plain; 416 px costs 1.7 times as much."""

Square = NDArray[np.uint8]


def to_square(picture: Square, row: Row, size_px: int = SIZE_PX) -> tuple[Square, Row]:
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


def open_real(picture: RealPicture, size_px: int = SIZE_PX) -> tuple[Square, Row]:
    """Return a real picture's square, its squeeze undone; raises `InputError`."""
    pixels = cv2.imread(str(picture.path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise InputError(f"{picture.row.path} is no picture that can be read: take its line out")
    found = pixels.shape[1], pixels.shape[0]
    if found != (picture.width_px, picture.height_px):
        raise InputError(
            f"{picture.row.path} has {found[0]} x {found[1]} pixels, its table says "
            f"{picture.width_px} x {picture.height_px}: boxes would stand in the wrong place"
        )
    wide = max(1, round(picture.aspect * picture.height_px))
    if wide != picture.width_px:
        way = cv2.INTER_AREA if wide < picture.width_px else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (wide, picture.height_px), interpolation=way)
    return to_square(np.asarray(pixels, np.uint8), picture.row, size_px)


@dataclass(frozen=True)
class DetectData:
    """Squares (N, S, S) uint8, their rows, and a line of attribution a source; checked."""

    rows: tuple[Row, ...]
    frames: Square
    attribution: tuple[str, ...]
    digest: str

    @property
    def size_px(self) -> int:
        """Return the squares' side."""
        return int(self.frames.shape[1])

    @classmethod
    def load(cls, root: Path) -> Self:
        """Open the folder; raise `InputError` where it is not whole, or was altered."""
        again = "make it again with `neurosono train structures prepare`"
        try:
            summary = json.loads((root / SUMMARY_NAME).read_bytes())
            index = (root / INDEX_NAME).read_text()
            frames = np.load(root / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
            rows = tuple(Row.from_json(json.loads(line)) for line in index.splitlines())
            attribution = tuple(str(line) for line in summary["attribution"])
            whole = summary["schema"] == SCHEMA and summary["digest"] == _digest(index, frames)
        except (OSError, ValueError, KeyError, TypeError, InputError) as error:
            raise InputError(f"{root} holds no structures' data ({error!r}): {again}") from error
        if not whole or frames.shape[0] != len(rows) or frames.dtype != np.uint8:
            raise InputError(f"structures' data {root} were altered: {again}")
        return cls(rows, frames, attribution, str(summary["digest"]))

    def choose(self, fold: int | None, held_out: bool) -> NDArray[np.int64]:
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
    def real(self) -> NDArray[np.bool_]:
        """Return (N,): whether the picture is a scanner's and not generated."""
        return np.array([row.source != PHANTOM for row in self.rows])


def write_detect_data(
    root: Path, found: Iterable[tuple[Square, Row]], attribution: Sequence[str]
) -> DetectData:
    """Write squares and rows aside, rename, and open; raises `OutputError`, `InputError`."""
    if root.exists():
        raise OutputError(f"{root} is there already: choose another folder or remove it")
    pairs = list(found)
    if not pairs:
        raise InputError("no picture was found: nothing for a detector to learn from")
    frames = np.stack([square for square, _ in pairs])
    index = "".join(json.dumps(row.to_json()) + "\n" for _, row in pairs)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "digest": _digest(index, frames),
        "attribution": list(attribution),
    }
    part = root.with_name(root.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        np.save(part / FRAMES_NAME, frames)
        (part / INDEX_NAME).write_text(index)
        (part / SUMMARY_NAME).write_text(json.dumps(summary, indent=2) + "\n")
        part.rename(root)
    except OSError as error:
        raise OutputError(
            f"cannot write {root}: {error.strerror}; free some space or choose another"
        ) from error
    return DetectData.load(root)


def _digest(index: str, frames: Square) -> str:
    found = hashlib.sha256(index.encode())
    found.update(np.ascontiguousarray(frames).data)
    return found.hexdigest()
