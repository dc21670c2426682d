"""The index of a frame cache: one line a frame, which says where its picture comes from."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

from neurosono.engine.contracts.errors import InputError


@dataclass(frozen=True)
class CachedFrame:
    """Where one cached picture comes from.

    `path` is the file's, inside the dataset; `clip` and `frame` count the exam's files and decoded
    frames from 0; `pts_s` is the time in the exam. `patient` is the dataset's name for her: a cache
    is as private as the data it was made of. `site` is the hospital or scanner and `plane` the
    view, both "" where unknown.
    """

    path: str
    label: str
    patient: str
    exam: str
    clip: int
    frame: int
    pts_s: float
    gestational_weeks: float | None = None
    site: str = ""
    plane: str = ""


COLUMNS = tuple(each.name for each in fields(CachedFrame))


def check_one_label_each(found: Iterable[tuple[str, str, str]]) -> None:
    """Raise `InputError` if a patient stands under two labels; `found` is (patient, label, path).

    Such a patient would be learnt under one label and tested under the other.
    """
    first: dict[str, tuple[str, str]] = {}
    for patient, label, path in found:
        label_before, path_before = first.setdefault(patient, (label, path))
        if label_before != label:
            raise InputError(
                f"one patient stands under two labels, {label_before} ({path_before}) and {label} "
                f"({path}): a patient has one label; move or rename one of the two"
            )


def format_index(rows: Sequence[CachedFrame]) -> bytes:
    """Return `rows` as CSV under `COLUMNS`; what is unknown is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow("" if value is None else value for value in astuple(row))
    return text.getvalue().encode()


def read_index(index: bytes) -> tuple[CachedFrame, ...]:
    """Read what `format_index` wrote; raises `ValueError` or `TypeError` if it is not that."""
    reader = csv.DictReader(io.StringIO(index.decode(), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"columns must be {COLUMNS}, found {reader.fieldnames}")
    return tuple(
        CachedFrame(
            path=line["path"],
            label=line["label"],
            patient=line["patient"],
            exam=line["exam"],
            clip=int(line["clip"]),
            frame=int(line["frame"]),
            pts_s=float(line["pts_s"]),
            gestational_weeks=float(line["gestational_weeks"])
            if line["gestational_weeks"]
            else None,
            site=line["site"],
            plane=line["plane"],
        )
        for line in reader
    )
