"""The table of a reader study: who said what of which exam."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

SUBJECTS = ("exam", "patient")
NOTHING = "none"
"""The answer of a reader who recognised nothing."""


@dataclass(frozen=True)
class Answer:
    """One reader's answer on one exam: a pseudonym, and a class index, -1 for none."""

    exam: str
    reader: str
    choice: int


def read_answers(
    path: Path, exams: Predictions, salt: str, cache: Cache | None = None
) -> list[Answer]:
    """Read `readers.csv`: columns `exam` (or `patient`), `reader`, `answer` (a label or `none`).

    An exam is named by its pseudonym, as the report shows it, or as in the dataset: `EXAM` or
    `PATIENT/EXAM`; a patient of one exam names it too. Names are hashed with `salt`, the digest of
    the training data; `cache` finds exams that are not called like their patients. Raises
    `InputError` naming row and column, never the name itself: it may be a patient's.
    """
    rows = _read_rows(path)
    subject = _check_columns(path, rows[0])
    find = _make_finder(exams, salt, cache)
    answers: dict[tuple[str, str], int] = {}
    found = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(rows[0]):
            raise InputError(f"{path} row {number} has {len(row)} columns, expected {len(rows[0])}")
        cells = {name.strip(): cell.strip() for name, cell in zip(rows[0], row, strict=True)}
        answer = _read_row(f"{path} row {number}", cells, subject, exams.labels, find)
        earlier = answers.setdefault((answer.exam, answer.reader), number)
        if earlier != number:
            raise InputError(
                f"{path} row {number}, column {subject}: this reader answered this exam in row "
                f"{earlier} already; keep one of the two"
            )
        found.append(answer)
    if not found:
        raise InputError(f"{path} holds no answer: give a row for each exam and reader")
    return found


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError as error:
        raise InputError(f"no table of readers at {path}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV in UTF-8: {error}") from error
    if not rows:
        raise InputError(f"{path} is empty: its columns must be exam, reader, answer")
    return rows


def _check_columns(path: Path, header: list[str]) -> str:
    names = [name.strip() for name in header]
    subjects = [name for name in names if name in SUBJECTS]
    if len(subjects) != 1 or sorted(names) != sorted((subjects[0], "reader", "answer")):
        raise InputError(
            f"{path} row 1: the columns must be exam (or patient), reader, answer, found "
            f"{', '.join(names)}"
        )
    return subjects[0]


def _read_row(
    where: str,
    cells: dict[str, str],
    subject: str,
    labels: tuple[str, ...],
    find: Callable[[str], list[str]],
) -> Answer:
    matches = find(cells[subject])
    if len(matches) != 1:
        found = "no exam" if not matches else f"{len(matches)} exams"
        raise InputError(
            f"{where}, column {subject}: {found} of this name among the predictions; give the "
            "pseudonym that the report shows, or PATIENT/EXAM as in the dataset"
        )
    if not cells["reader"]:
        raise InputError(f"{where}, column reader: empty; say who answered")
    answer = cells["answer"].lower()
    if answer not in (*(label.lower() for label in labels), NOTHING):
        raise InputError(
            f"{where}, column answer: not a class; choose one of {', '.join(labels)} or {NOTHING}"
        )
    choice = -1 if answer == NOTHING else [label.lower() for label in labels].index(answer)
    return Answer(matches[0], cells["reader"], choice)


def _make_finder(exams: Predictions, salt: str, cache: Cache | None) -> Callable[[str], list[str]]:
    known = {str(name) for name in exams.exams}
    of_patient: dict[str, list[str]] = {}
    for patient, exam in zip(exams.patients, exams.exams, strict=True):
        of_patient.setdefault(str(patient), []).append(str(exam))
    in_dataset: dict[str, set[str]] = {}
    for row in cache.rows if cache is not None else ():
        full = pseudonym(f"{row.patient}/{row.exam}", salt)
        if full in known:
            in_dataset.setdefault(row.exam, set()).add(full)

    def find(name: str) -> list[str]:
        for exam in (name, pseudonym(name, salt), pseudonym(f"{name}/{name}", salt)):
            if exam in known:
                return [exam]
        if name in in_dataset:
            return sorted(in_dataset[name])
        return of_patient.get(name) or of_patient.get(pseudonym(name, salt), [])

    return find
