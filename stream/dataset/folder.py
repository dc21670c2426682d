"""A dataset as folders: `LABEL/PATIENT/*`, the layout of Qi et al., and `cohort.csv` beside it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.dataset.media import BadFile, ExamMedia, Medium, give_reason, parse_weeks
from neurosono.stream.sources.files.folder import list_media

COHORT_NAME = "cohort.csv"
"""Beside the label folders, if at all: a table of patient, gestational_weeks and site."""


@dataclass(frozen=True)
class _About:
    """What `cohort.csv` says of one patient."""

    weeks: float | None = None
    site: str = ""


def read_folders(root: Path) -> tuple[list[ExamMedia], list[BadFile], dict[str, str]]:
    """List the exams, the files that cannot be used, and where each label stands.

    A patient's folder is one exam. Raises `InputError` where a label has no patient's folder, or
    where `cohort.csv` is not what it must be.
    """
    about = _read_cohort(root)
    exams: list[ExamMedia] = []
    bad: list[BadFile] = []
    labels = _subfolders(root)
    for label in labels:
        patients = _subfolders(label)
        if not patients:
            raise InputError(
                f"class {label.name} in {root} holds no patient folder: add LABEL/PATIENT/ "
                "folders, or remove the empty one"
            )
        for folder in patients:
            media = _list_exam(root, folder, about.get(folder.name, _About()), bad)
            if media:
                exams.append(ExamMedia(label.name, folder.name, folder.name, media))
    return exams, bad, {label.name: str(label) for label in labels}


def _list_exam(root: Path, folder: Path, about: _About, bad: list[BadFile]) -> tuple[Medium, ...]:
    def name_of(path: Path) -> str:
        return path.relative_to(root).as_posix()

    def refuse(path: Path, error: SourceError) -> None:
        bad.append(BadFile(name_of(path), give_reason(error, path)))

    try:
        found = list_media(folder, refuse).media
    except SourceError as error:
        refuse(folder, error)
        return ()
    return tuple(Medium(path, name_of(path), about.weeks, about.site) for path in found)


def _subfolders(folder: Path) -> list[Path]:
    found = (each for each in folder.iterdir() if not each.name.startswith("."))
    return sorted((each for each in found if each.is_dir()), key=lambda each: each.name)


def _read_cohort(root: Path) -> dict[str, _About]:
    path = root / COHORT_NAME
    if not path.is_file():
        return {}
    found: dict[str, _About] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for line in reader:
                about = _read_patient(line, f"{path} line {reader.line_num}")
                if found.setdefault(line["patient"], about) != about:
                    raise InputError(
                        f"{path} line {reader.line_num} says something else of a patient than a "
                        "line before: give one gestational age and one site a patient, or name a "
                        "table of files with an exam column instead of the folder"
                    )
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"{path} must be a table with the columns patient and gestational_weeks: {error!r}"
        ) from error
    return found


def _read_patient(line: Mapping[str, str | None], where: str) -> _About:
    weeks = parse_weeks((line["gestational_weeks"] or "").strip(), f"{where} gestational_weeks")
    return _About(weeks, (line.get("site") or "").strip())
