"""What the gate learns from: squares as the engine sees them, whose they are, what they show.

Unlike in a frame cache a patient may stand under two labels here: the same woman's scan shows the
head and the femur.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Pixels, Words
from neurosono.engine.contracts.errors import InputError
from neurosono.training.squares import PHANTOM, Shelf

SHELF = Shelf(
    schema="neurosono-gate-data/2",
    index_name="index.csv",
    summary_name="gate-data.json",
    what="gate data",
    learner="gate",
    command="neurosono train gate prepare",
)
LABELS = ("head", "spine", "other")
"""What a frame shows. The first two are what the classifier may judge: abnormal heads are heads."""


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
    frames: Pixels
    attribution: tuple[str, ...]
    digest: str

    @classmethod
    def load(cls, root: Path) -> Self:
        """Open the folder; raise `InputError` where it is not whole, or was altered."""
        return cls(*SHELF.read(root, _parse))

    @property
    def positive(self) -> Flags:
        """Return `(N,)`: whether the classifier may judge the frame."""
        return np.array([row.label != "other" for row in self.rows])

    @property
    def real(self) -> Flags:
        """Return `(N,)`: whether the frame is of a scanner and not generated."""
        return np.array([row.source != PHANTOM for row in self.rows])

    @property
    def sources(self) -> Words:
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
    found: Iterable[tuple[Pixels, GateRow]],
    attribution: Sequence[str],
) -> GateData:
    """Write squares and rows aside, rename, and open; raises `OutputError`, `InputError`."""
    pairs = list(found)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for _, row in pairs)
    SHELF.write(root, [pixels for pixels, _ in pairs], text.getvalue(), attribution)
    return GateData.load(root)


def _parse(index: str) -> list[GateRow]:
    lines = csv.DictReader(io.StringIO(index))
    return [GateRow(**{name: line[name] for name in COLUMNS}) for line in lines]
