"""A dataset as folders: `LABEL/PATIENT/*`, the layout of Qi et al., and `cohort.csv` beside it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.dataset.media import BadFile, ExamMedia, Medium, give_reason, parse_weeks
from neurosono.stream.sources.files.folder import is_junk, list_media
from neurosono.stream.sources.files.kinds import find_kind
from neurosono.stream.sources.left_out import Reason

COHORT_NAME = "cohort.csv"
"""Beside the label folders, if at all: a table of patient, gestational_weeks and site."""


@dataclass(frozen=True)
class _About:
    """What `cohort.csv` says of one patient."""

    weeks: float | None = None
    site: str = ""


@dataclass(frozen=True)
class Folders:
    """What stands in the folders of a dataset, and where each label stands.

    `bad` are files that cannot be used, or that stand where no exam is looked for; `others` are no
    pictures at all.
    """

    exams: list[ExamMedia]
    bad: list[BadFile]
    others: list[BadFile]
    labels: dict[str, str]


def read_folders(root: Path) -> Folders:
    """List the exams, and every file that is not of one.

    A patient's folder is one exam. Raises `InputError` where a label has no patient's folder, or
    where `cohort.csv` is not what it must be.
    """
    about = _read_cohort(root)
    exams: list[ExamMedia] = []
    bad: list[BadFile] = []
    others: list[BadFile] = []
    _note_strays(root, root, bad, [])  # what lies beside the label folders is the owner's affair
    labels = _subfolders(root)
    for label in labels:
        _note_strays(root, label, bad, others)
        patients = _subfolders(label)
        if not patients:
            raise InputError(
                f"class {label.name} in {root} holds no patient folder: add LABEL/PATIENT/ "
                "folders, or remove the empty one"
            )
        for folder in patients:
            media = _list_exam(root, folder, about.get(folder.name, _About()), bad, others)
            if media:
                exams.append(ExamMedia(label.name, folder.name, folder.name, media))
    return Folders(exams, bad, others, {label.name: str(label) for label in labels})


def _note_strays(root: Path, folder: Path, bad: list[BadFile], others: list[BadFile]) -> None:
    """Note the files that stand in `folder` itself, and all in hidden folders, as no exam's."""
    for path in sorted(folder.iterdir()):
        if is_junk(path.name):
            continue
        if path.is_dir() and path.name.startswith("."):
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            for each in inside:
                _note_stray(root, each, "in a hidden folder", bad, others)
        elif path.is_file() and path.name != COHORT_NAME:
            _note_stray(root, path, "in no patient's folder", bad, others)


def _note_stray(
    root: Path, path: Path, where: str, bad: list[BadFile], others: list[BadFile]
) -> None:
    name = path.relative_to(root).as_posix()
    try:
        if path.stat().st_size and find_kind(path) is not None:
            bad.append(BadFile(name, f"it lies {where}"))
        else:
            others.append(BadFile(name, f"it is no picture, and lies {where}"))
    except (SourceError, OSError) as error:
        bad.append(BadFile(name, give_reason(error, path)))


def _list_exam(
    root: Path, folder: Path, about: _About, bad: list[BadFile], others: list[BadFile]
) -> tuple[Medium, ...]:
    def name_of(path: Path) -> str:
        return path.relative_to(root).as_posix()

    def refuse(path: Path, error: SourceError) -> None:
        bad.append(BadFile(name_of(path), give_reason(error, path)))

    try:
        found = list_media(folder, refuse)
    except SourceError as error:
        refuse(folder, error)
        return ()
    for each in found.left_out:
        if each.reason is Reason.HIDDEN:
            _note_stray(root, folder / each.name, "hidden", bad, others)
        elif each.reason is not Reason.SYSTEM:
            others.append(BadFile(name_of(folder / each.name), str(each.reason)))
    return tuple(Medium(path, name_of(path), about.weeks, about.site) for path in found.media)


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
