"""Readings of one or two arms, as journals recorded them: who said what and when, and the AI.

An answer is a review that names a class: a kept frame, accepted or assigned. The journal knows when
the AI was hidden and shown, so an answer is `alone` as long as nobody has seen the AI, and `seen`
after that. In a second read a reader has both; in a concurrent one only what was said with the AI.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.journal.reader import ExamSummary, KeyFrame, Reader, RecordedEvent

CONCURRENT, SECOND = "concurrent", "second-read"
ARMS = (CONCURRENT, SECOND)
COLUMNS = ("exam", "case", "reader", "truth")
ARM_COLUMN = "arm"


@dataclass(frozen=True)
class Said:
    """A class that a reader named, and when, in seconds since the exam began."""

    label: str
    at_s: float


@dataclass(frozen=True)
class CaseReading:
    """One reader's reading of one case.

    `alone` is the last answer before the AI was seen, `seen` the last one after, each None where
    there was none; `ai` is the class that led at the exam's end, None without one.
    """

    exam_id: str
    case: str
    reader: str
    truth: str
    arm: str
    alone: Said | None
    seen: Said | None
    ai: str | None
    presses: int

    @property
    def final(self) -> Said | None:
        """Return what the reader said last."""
        return self.seen or self.alone


@dataclass(frozen=True)
class TableRow:
    """A row of the table of the truth."""

    exam: str
    case: str
    reader: str
    truth: str
    arm: str
    number: int


def read_table(path: Path) -> list[TableRow]:
    """Read the table of the truth: CSV with `COLUMNS`, and `arm` where a journal does not tell it.

    Raises `InputError`, naming row and column, for a table that cannot be.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV in UTF-8: {error}") from error
    rows = []
    for number, line in enumerate(lines, 2):
        cells = {str(name).strip(): (value or "").strip() for name, value in line.items() if name}
        for name in COLUMNS:
            if not cells.get(name):
                raise InputError(
                    f"{path} row {number}, column {name}: empty; a row has {', '.join(COLUMNS)}, "
                    f"and {ARM_COLUMN} where the journal does not tell it"
                )
        arm = cells.get(ARM_COLUMN, "")
        if arm not in ("", *ARMS):
            raise InputError(
                f"{path} row {number}, column {ARM_COLUMN}: one of {', '.join(ARMS)}, found {arm!r}"
            )
        told = {name: cells[name] for name in COLUMNS}
        rows.append(TableRow(**told, arm=arm, number=number))
    if not rows:
        raise InputError(f"{path} holds no row: give one for each reading, with its exam's id")
    return rows


def gather(readers: Sequence[Reader], rows: Sequence[TableRow]) -> list[CaseReading]:
    """Return the reading of each row, from the one journal that has its exam.

    Raises `InputError` where none or more than one has it, where a truth is no class of the exam,
    or where a reader read a case twice in one arm.
    """
    found = [_gather_one(readers, row) for row in rows]
    known: dict[tuple[str, str, str], int] = {}
    for row, each in zip(rows, found, strict=True):
        first = known.setdefault((each.reader, each.case, each.arm), row.number)
        if first != row.number:
            raise InputError(
                f"row {row.number}: this reader read this case in this arm in row {first} already"
            )
    return found


def _gather_one(readers: Sequence[Reader], row: TableRow) -> CaseReading:
    reader, exam = _find(readers, row)
    if row.truth not in exam.labels:
        raise InputError(
            f"row {row.number}, column truth: one of {', '.join(exam.labels)}, found {row.truth!r}"
        )
    events = list(reader.events(exam.exam_id))
    keys = {key.key_frame_id: key for key in reader.key_frames(exam.exam_id)}
    blind, shown_ns = _find_reveal(events, keys)
    answers: dict[bool, Said] = {}
    for event in events:
        label = _label_of(event, keys)
        if label is not None:
            with_ai = not blind or (shown_ns is not None and event.monotonic_ns >= shown_ns)
            at_s = max(0.0, (event.wall_ns - exam.begun_wall_ns) / 1e9)
            answers[with_ai] = Said(label, at_s)
    return CaseReading(
        exam_id=exam.exam_id,
        case=row.case,
        reader=row.reader,
        truth=row.truth,
        arm=row.arm or (SECOND if blind else CONCURRENT),
        alone=answers.get(False),
        seen=answers.get(True),
        ai=exam.label,
        presses=sum(_is_press(event) for event in events),
    )


def _find(readers: Sequence[Reader], row: TableRow) -> tuple[Reader, ExamSummary]:
    found = []
    for reader in readers:
        try:
            found.append((reader, reader.exam(row.exam)))
        except InputError:
            continue
    if len(found) != 1:
        many = f"{len(found)} journals have" if found else "no journal has"
        raise InputError(f"row {row.number}, column exam: {many} one exam {row.exam!r}")
    return found[0]


def _find_reveal(
    events: Sequence[RecordedEvent], keys: Mapping[str, KeyFrame]
) -> tuple[bool, int | None]:
    """Return whether the AI was hidden until the first answer, and when it was then shown."""
    blind = False
    for event in events:
        if not blind and _label_of(event, keys) is not None:
            return False, None
        if event.name == "state" and event.fields.get("part") == "ai":
            if event.fields.get("value") == "hidden":
                blind = True
            elif blind and event.fields.get("value") == "shown":
                return True, event.monotonic_ns
    return blind, None


def _label_of(event: RecordedEvent, keys: Mapping[str, KeyFrame]) -> str | None:
    """Return the class that a review names; None of any other event."""
    if event.name != "reviewed" or event.fields.get("verdict") not in ("accept", "reassign"):
        return None
    kept = keys.get(str(event.fields.get("key_frame")))
    return event.fields.get("label") or (None if kept is None else kept.label)


def _is_press(event: RecordedEvent) -> bool:
    """Return whether a person did it: kept a frame, reviewed one, froze the picture."""
    fields = event.fields
    frozen = fields.get("part") == "display" and fields.get("value") == "frozen"
    return (
        event.name == "reviewed"
        or (event.name == "kept" and fields.get("reason") == "key")
        or (event.name == "state" and frozen)
    )
