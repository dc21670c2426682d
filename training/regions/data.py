"""The pairs' data: squares as the engine sees them, what is true of each, and what was found."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.kinds.regions import rate_frame
from neurosono.engine.regions.names import PLANES
from neurosono.engine.structures.boxes import Found, RotatedBox
from neurosono.engine.structures.decode import Limits
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.graph import StructuresGraph
from neurosono.engine.structures.names import OTHER_HEAD
from neurosono.engine.structures.reading import Reading, read_answer
from neurosono.training.detect.rows import Row
from neurosono.training.squares import Shelf

SHELF = Shelf(
    schema="neurosono-regions-data/1",
    index_name="index.jsonl",
    summary_name="regions-data.json",
    what="regions' data",
    learner="network",
    command="neurosono train regions prepare",
)


@dataclass(frozen=True)
class Seen:
    """What the detector found on a picture, in pixels of its square, and the plane it named."""

    plane: str | None
    head: Ellipse | None
    boxes: tuple[Found, ...]

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """Keep what a reading says."""
        return cls(reading.plane, reading.head, reading.boxes)

    def to_json(self) -> dict[str, Any]:
        """Return it as a line of the index holds it."""
        head = self.head.to_dict() if self.head else None
        boxes = [each.to_dict() for each in self.boxes]
        return {**vars(self), "head": head, "boxes": boxes}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read what `to_json` gave; raises `KeyError`, `TypeError`, `InputError`."""
        boxes = tuple(
            Found(
                each["label"],
                each["score"],
                RotatedBox(*(each[name] for name in ("cx", "cy", "w", "h", "angle_deg"))),
            )
            for each in found["boxes"]
        )
        head = Ellipse(**found["head"]) if found["head"] else None
        return cls(**{**found, "head": head, "boxes": boxes})


@dataclass(frozen=True)
class PairRow:
    """One picture of a woman: of which plane, `OTHER_HEAD` being neither, and whether abnormal.

    `abnormal` is None where nobody knows, as of every real picture; `finding` is what was drawn.
    `truth` has the true head and boxes where they are known.
    """

    truth: Row
    plane: str
    abnormal: bool | None
    finding: str
    seen: Seen

    def __post_init__(self) -> None:
        known = (*PLANES, OTHER_HEAD)
        if self.plane not in known:
            raise InputError(f"a pair's plane is one of {', '.join(known)}; found {self.plane!r}")

    @property
    def patient(self) -> str:
        """Return whose picture it is."""
        return self.truth.patient

    @property
    def goodness(self) -> float:
        """Return how good a frame of its plane it is, which being told: how whole."""
        return rate_frame(1.0, self.seen.boxes, self.plane)

    def true_boxes(self) -> tuple[Found, ...]:
        """Return the boxes that stand there, each as surely as can be."""
        return tuple(Found(each.label, 1.0, each.box) for each in self.truth.boxes)

    def to_json(self) -> dict[str, Any]:
        """Return a line of the index."""
        parts = {"truth": self.truth.to_json(), "seen": self.seen.to_json()}
        return {**vars(self), **parts}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read a line of the index; raises `KeyError`, `TypeError`, `InputError`."""
        parts = {"truth": Row.from_json(found["truth"]), "seen": Seen.from_json(found["seen"])}
        return cls(**{**found, **parts})


def fold_of(patient: str, folds: int) -> int:
    """Return a patient's fold: the same wherever and whenever she is met."""
    found = hashlib.sha256(f"regions/{patient}".encode()).digest()
    return int.from_bytes(found[:8]) % folds


@dataclass(frozen=True)
class Pair:
    """One woman: the rows of her pictures of each plane, and whether she is abnormal.

    `others` are those of her pictures that are of neither plane.
    """

    patient: str
    abnormal: bool | None
    finding: str
    rows: dict[str, tuple[int, ...]]
    others: tuple[int, ...] = ()

    def best(self, rows: Sequence[PairRow]) -> dict[str, int]:
        """Return of each plane the row that an exam would take: the best frame."""
        return {
            plane: max(some, key=lambda row: (rows[row].goodness, -row))
            for plane, some in self.rows.items()
        }


@dataclass(frozen=True)
class PairData:
    """Squares (N, S, S) uint8, their rows, and a line of attribution a source; checked."""

    rows: tuple[PairRow, ...]
    frames: Pixels
    attribution: tuple[str, ...]
    digest: str

    @classmethod
    def load(cls, root: Path) -> Self:
        """Open the folder; raise `InputError` where it is not whole, or was altered."""
        return cls(*SHELF.read(root, _parse))

    @property
    def pairs(self) -> list[Pair]:
        """Return the women who have both planes, in the order in which they are met."""
        met: dict[str, list[int]] = {}
        for number, row in enumerate(self.rows):
            met.setdefault(row.patient, []).append(number)
        found = []
        for patient, numbers in met.items():
            rows = {
                plane: tuple(n for n in numbers if self.rows[n].plane == plane) for plane in PLANES
            }
            if all(rows.values()):
                first = self.rows[numbers[0]]
                others = tuple(n for n in numbers if self.rows[n].plane == OTHER_HEAD)
                found.append(Pair(patient, first.abnormal, first.finding, rows, others))
        return found


Made = tuple[Pixels, Row, str, bool | None, str]
"""A picture before it was looked at: square, truth, plane, whether abnormal, finding."""


def look_at(pictures: Iterable[Made], finder: StructuresGraph) -> Iterator[tuple[Pixels, PairRow]]:
    """Yield each picture's row with what the detector finds on it."""
    for square, truth, plane, abnormal, finding in pictures:
        side = square.shape[0]
        reading = read_answer(finder.infer(square), side, side, limits=Limits())
        yield square, PairRow(truth, plane, abnormal, finding, Seen.of(reading))


def look_again(prepared: Sequence[PairData]) -> Iterator[Made]:
    """Yield prepared pictures for another detector to look at.

    Raises `InputError` where a woman is in two of them: she would count twice.
    """
    women = Counter(name for data in prepared for name in {row.patient for row in data.rows})
    twice = next((name for name, count in women.items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is in two of the prepared pairs: give each woman once")
    for data in prepared:
        for square, row in zip(data.frames, data.rows, strict=True):
            yield np.array(square), row.truth, row.plane, row.abnormal, row.finding


def join_attribution(prepared: Sequence[PairData]) -> tuple[str, ...]:
    """Return every line of attribution once, in the order in which they are met."""
    return tuple(dict.fromkeys(line for data in prepared for line in data.attribution))


def write_pair_data(
    root: Path, found: Iterable[tuple[Pixels, PairRow]], attribution: Sequence[str]
) -> PairData:
    """Write squares and rows aside, rename, and open; raises `OutputError`, `InputError`."""
    pairs = list(found)
    index = "".join(json.dumps(row.to_json()) + "\n" for _, row in pairs)
    SHELF.write(root, [square for square, _ in pairs], index, attribution)
    return PairData.load(root)


def _parse(index: str) -> list[PairRow]:
    return [PairRow.from_json(json.loads(line)) for line in index.splitlines()]
