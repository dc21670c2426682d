"""A dataset as a table, CSV or Parquet: a line a file."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.cache import check_one_label_each
from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.dataset.media import (
    BadFile,
    ExamMedia,
    Medium,
    give_reason,
    name_duplicates,
    parse_weeks,
    tell_allowed,
)
from neurosono.stream.sources.files.kinds import is_there, read_head

REQUIRED = ("path", "patient", "label")
WEEKS_COLUMNS = ("gestational_weeks", "weeks")
COLUMNS = (*REQUIRED, "exam", "site", "plane", *WEEKS_COLUMNS)
UNUSED_COLUMNS = ("seed",)
"""Known and passed over: in the tables of `neurosono phantom`, which are datasets as they are."""

PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class _Line:
    """One line of the table, all cells stripped; `where` names it in errors."""

    where: str
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        return self.cells.get(column, "")


def read_table(table: Path) -> tuple[list[ExamMedia], list[BadFile], dict[str, str]]:
    """List the exams, the files that cannot be used, and where each label stands first.

    Paths are relative to the table's folder, or absolute. Lines of one patient and one exam are one
    exam, in the table's order; without an exam column, or where its cell is empty, a patient is one
    exam. Raises `InputError`, naming line and column, where the table is not what it must be.
    """
    exams: dict[tuple[str, str], list[tuple[_Line, Medium]]] = {}
    labels: dict[str, str] = {}
    bad: list[BadFile] = []
    first: dict[Path, str] = {}
    lines = list(_read_lines(table))
    for line in lines:
        _check_filled(line)
        labels.setdefault(line.get("label"), f"{line.where}, column label")
    check_one_label_each((each.get("patient"), each.get("label"), each.where) for each in lines)
    for line in lines:
        medium = _make_medium(table.parent, line)
        before = first.setdefault(medium.path.resolve(), line.where)
        if before != line.where:
            raise InputError(
                f"{line.where} names the file of {before} again: a file stands in the table once"
            )
        try:
            _check_file(medium.path)
        except SourceError as error:
            bad.append(BadFile(medium.name, give_reason(error, medium.path)))
            continue
        patient = line.get("patient")
        exams.setdefault((patient, line.get("exam") or patient), []).append((line, medium))
    if not labels:
        raise InputError(f"{table} holds no line: give a line a file, with {', '.join(REQUIRED)}")
    return [_make_exam(*key, own) for key, own in exams.items()], bad, labels


def _make_exam(patient: str, exam: str, lines: Sequence[tuple[_Line, Medium]]) -> ExamMedia:
    head, medium = lines[0]
    for line, other in lines[1:]:
        same = {
            "gestational weeks": other.weeks == medium.weeks,
            "site": other.site == medium.site,
        }
        for what, agrees in same.items():
            if not agrees:
                raise InputError(
                    f"{line.where} and {head.where} are of one exam, but differ in {what}: an exam "
                    "has one; correct it, or tell the exams apart in the exam column"
                )
    return ExamMedia(head.get("label"), patient, exam, tuple(medium for _, medium in lines))


def _check_filled(line: _Line) -> None:
    for column in REQUIRED:
        if not line.get(column):
            raise InputError(
                f"{line.where} has an empty cell in the column {column}: every line needs "
                f"{', '.join(REQUIRED)}"
            )


def _check_file(path: Path) -> None:
    if not is_there(path):
        raise SourceError("there is no such file")
    if path.is_dir():
        raise SourceError("it is a folder, and the column path holds files")
    read_head(path)


def _make_medium(folder: Path, line: _Line) -> Medium:
    name = line.get("path")
    path = folder / name
    weeks = [column for column in WEEKS_COLUMNS if column in line.cells]
    return Medium(
        path,
        Path(name).as_posix(),
        weeks=parse_weeks(line.get(weeks[0]), f"{line.where} {weeks[0]}") if weeks else None,
        site=line.get("site"),
        plane=line.get("plane"),
    )


def _read_lines(table: Path) -> Iterator[_Line]:
    parquet = table.suffix.lower() in PARQUET_SUFFIXES
    header, lines = _read_parquet(table) if parquet else _read_csv(table)
    _check_columns(table, header)
    for where, values in lines:
        if len(values) != len(header):
            raise InputError(
                f"{where} has {len(values)} cells where the header has {len(header)}: put cells "
                "that hold commas in quotes"
            )
        yield _Line(
            where, {column: value.strip() for column, value in zip(header, values, strict=True)}
        )


def _check_columns(table: Path, header: Sequence[str]) -> None:
    for column in header:
        if column not in (*COLUMNS, *UNUSED_COLUMNS):
            raise InputError(
                f"{table} has an unknown column {column!r}{tell_allowed(column, COLUMNS)}, "
                "separated by commas"
            )
    for column in REQUIRED:
        if column not in header:
            raise InputError(
                f"{table} has no column {column}: it needs {', '.join(REQUIRED)}, and may have "
                f"{', '.join(COLUMNS[len(REQUIRED) :])}"
            )
    twice = name_duplicates(header)
    if set(WEEKS_COLUMNS) <= set(header):
        twice.append(" and ".join(WEEKS_COLUMNS))
    if twice:
        raise InputError(f"{table} has the column {twice[0]} twice: leave one")


def _read_csv(table: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            lines = [(f"{table} line {reader.line_num}", values) for values in reader if values]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read as CSV in UTF-8: {error}") from error
    return header, lines


def load_parquet(table: Path) -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module; raises `InputError` where it is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise InputError(
            f"{table} needs pyarrow, which is not installed: pip install 'neurosono[parquet]', or "
            "save the table as CSV"
        ) from error
    return pyarrow, parquet


def _read_parquet(table: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    pyarrow, parquet = load_parquet(table)
    try:
        found = parquet.read_table(table)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{table} cannot be read as Parquet: {error}") from error
    columns = [column.to_pylist() for column in found.columns]
    lines = [
        (f"{table} row {number}", ["" if cell is None else str(cell) for cell in cells])
        for number, cells in enumerate(zip(*columns, strict=True), start=1)
    ]
    return list(found.column_names), lines
