"""What the gate learns from: squares as the engine sees them, whose they are, what they show.

A folder of three files, like a frame cache, but a patient may stand under two labels here: the same
woman's scan shows the head and the femur. `frames.npy` is uint8 `(N, S, S)`, `index.csv` a line a
frame, `gate-data.json` the labels, the sources with their licences, and the digest of both.
"""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, OutputError

SCHEMA = "neurosono-gate-data/2"
LABELS = ("head", "spine", "other")
"""What a frame shows. The first two are what the classifier may judge: abnormal heads are heads."""

PHANTOM = "phantom"
"""The source of all that was generated: counted apart from real frames everywhere."""

FRAMES_NAME, INDEX_NAME, SUMMARY_NAME = "frames.npy", "index.csv", "gate-data.json"


@dataclass(frozen=True)
class GateRow:
    """One frame: the file it is from, its source, its patient, what it shows and in which plane.

    `patient` is unique over all sources; `plane` is "" where nobody said (all real frames), and
    `machine`, the scanner's name, where it is not known.
    """

    path: str
    source: str
    patient: str
    label: str
    plane: str = ""
    machine: str = ""

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise InputError(f"{self.path}: a label is one of {list(LABELS)}, found {self.label!r}")


COLUMNS = tuple(each.name for each in fields(GateRow))


@dataclass(frozen=True)
class GateData:
    """A gate's data, checked; `frames` is `(N, S, S)` uint8, `attribution` a line a source."""

    rows: tuple[GateRow, ...]
    frames: NDArray[np.uint8]
    attribution: tuple[str, ...]
    digest: str

    @classmethod
    def load(cls, root: Path) -> Self:
        """Open the folder; raise `InputError` where it is not whole, or was altered."""
        again = "make it again with `neurosono train gate prepare`"
        try:
            summary = json.loads((root / SUMMARY_NAME).read_bytes())
            index = (root / INDEX_NAME).read_text()
            frames = np.load(root / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
            reader = csv.DictReader(io.StringIO(index))
            rows = tuple(GateRow(**{name: line[name] for name in COLUMNS}) for line in reader)
            attribution = tuple(str(line) for line in summary["attribution"])
            whole = summary["schema"] == SCHEMA and summary["digest"] == _digest(index, frames)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{root} holds no gate data ({error!r}): {again}") from error
        if not whole or frames.shape[0] != len(rows) or frames.dtype != np.uint8:
            raise InputError(f"gate data {root} were altered, or are of another release: {again}")
        return cls(rows, frames, attribution, str(summary["digest"]))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Return `(N,)`: whether the classifier may judge the frame."""
        return np.array([row.label != "other" for row in self.rows])

    @property
    def real(self) -> NDArray[np.bool_]:
        """Return `(N,)`: whether the frame is of a scanner and not generated."""
        return np.array([row.source != PHANTOM for row in self.rows])

    @property
    def sources(self) -> NDArray[np.str_]:
        """Return `(N,)` names of sources."""
        return np.array([row.source for row in self.rows])

    def count(self) -> dict[str, dict[str, int]]:
        """Return frames and patients by `source/label`."""
        keys = sorted({(row.source, row.label) for row in self.rows})
        return {
            f"{source}/{label}": {
                "frames": sum((row.source, row.label) == (source, label) for row in self.rows),
                "patients": len(
                    {r.patient for r in self.rows if (r.source, r.label) == (source, label)}
                ),
            }
            for source, label in keys
        }


def write_gate_data(
    root: Path,
    found: Iterable[tuple[NDArray[np.uint8], GateRow]],
    attribution: Sequence[str],
) -> GateData:
    """Write squares and rows aside, rename, and open; raises `OutputError`, `InputError`."""
    pairs = list(found)
    if not pairs:
        raise InputError("no frame was found: nothing for a gate to learn from")
    if root.exists():
        raise OutputError(f"{root} is there already: choose another folder or remove it")
    frames = np.stack([pixels for pixels, _ in pairs])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for _, row in pairs)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "digest": _digest(text.getvalue(), frames),
        "attribution": list(attribution),
    }
    part = root.with_name(root.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        np.save(part / FRAMES_NAME, frames)
        (part / INDEX_NAME).write_text(text.getvalue())
        (part / SUMMARY_NAME).write_text(json.dumps(summary, indent=2) + "\n")
        part.rename(root)
    except OSError as error:
        raise OutputError(
            f"cannot write {root}: {error.strerror}; free some space or choose another"
        ) from error
    return GateData.load(root)


def _digest(index: str, frames: NDArray[np.uint8]) -> str:
    found = hashlib.sha256(index.encode())
    found.update(np.ascontiguousarray(frames).data)
    return found.hexdigest()
