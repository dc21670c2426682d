"""A dataset of patients, listed and checked, before anything of it is decoded."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neurosono.engine.contracts.cache import check_one_label_each
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS, NORMAL_LABEL, validate_labels
from neurosono.stream.dataset.folder import read_folders
from neurosono.stream.dataset.media import BadFile, ExamMedia, is_text, tell_allowed
from neurosono.stream.dataset.table import read_table

_ANOMALIES = frozenset(DEFAULT_LABELS) - {NORMAL_LABEL}


@dataclass(frozen=True)
class Dataset:
    """Exams, and the files that were seen not to be usable when they were listed.

    `others` are files that are no pictures. `labels` are in the order in which every array holds
    them; `digest` names the dataset, so that a stale cache is noticed.
    """

    labels: tuple[str, ...]
    exams: tuple[ExamMedia, ...]
    bad: tuple[BadFile, ...]
    digest: str
    others: tuple[BadFile, ...] = ()

    @property
    def files(self) -> int:
        """How many files there are, usable or not."""
        return len(self.bad) + sum(len(exam.media) for exam in self.exams)

    def without(self, bad: Iterable[BadFile]) -> "Dataset":
        """Leave files out; raises `InputError` where a class loses its last one."""
        names = {each.name for each in bad}
        exams = tuple(
            replace(exam, media=media)
            for exam in self.exams
            if (media := tuple(each for each in exam.media if each.name not in names))
        )
        for label in self.labels:
            if not any(exam.label == label for exam in exams):
                raise InputError(f"class {label} has no usable file left: add patients to it")
        return replace(self, exams=exams)


def find_dataset(root: Path, labels: Sequence[str] | None = None) -> Dataset:
    """List `LABEL/PATIENT/*` folders or a table; `labels` says which there may be, and their order.

    Raises `InputError` where it is no dataset, or where a patient has two labels.
    """
    others: list[BadFile] = []
    if root.is_dir():
        folders = read_folders(root)
        exams, bad, others, found = folders.exams, folders.bad, folders.others, folders.labels
    elif root.is_file():
        exams, bad, found = read_table(root)
    else:
        raise InputError(
            f"no dataset at {root}: name a folder that holds LABEL/PATIENT/ folders, or a table "
            "(.csv, .parquet) of files"
        )
    if len(found) < 2:
        raise InputError(
            "a dataset needs two or more label folders with patients in them, or a table with two "
            f"or more labels; found {list(found)}"
        )
    exams = _take_texts(exams, bad)
    ordered = _order_labels(root, found, labels)
    at = {label: number for number, label in enumerate(ordered)}
    exams.sort(key=lambda exam: at[exam.label])
    check_one_label_each((each.patient, each.label, each.media[0].name) for each in exams)
    return Dataset(ordered, tuple(exams), tuple(bad), _digest(exams), tuple(others))


def _take_texts(exams: Iterable[ExamMedia], bad: list[BadFile]) -> list[ExamMedia]:
    """Return the exams whose names are text; the files of all others are bad.

    A cache and its reports are in UTF-8: found now, no work is lost over a name.
    """
    taken: list[ExamMedia] = []
    for exam in exams:
        names = (exam.label, exam.patient, exam.exam)
        media = tuple(each for each in exam.media if is_text("".join((*names, each.name))))
        bad.extend(
            BadFile(each.name, "its name is not in UTF-8: rename it")
            for each in exam.media
            if each not in media
        )
        if media:
            taken.append(replace(exam, media=media))
    return taken


def _order_labels(
    root: Path, found: Mapping[str, str], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    """The known labels in the contract's order, then any others by name: never as listed."""
    if wanted is not None:
        allowed = ordered = validate_labels(wanted)
        for label in ordered:
            if label not in found:
                raise InputError(f"no patient of {root} has the label {label}: found {list(found)}")
    else:
        known = [label for label in DEFAULT_LABELS if label in found]
        ordered = (*known, *sorted(set(found) - set(known)))
        # The paper's anomalies are a closed set: another word among them is most likely misspelt.
        closed = root.is_file() and _ANOMALIES.intersection(found)
        allowed = DEFAULT_LABELS if closed else ordered
    for label, where in found.items():
        if label not in allowed:
            raise InputError(
                f"{where}: the label {label!r} is unknown{tell_allowed(label, allowed)}; name "
                "others with `train prepare --labels`"
            )
    return ordered


def _digest(exams: Iterable[ExamMedia]) -> str:
    """Name the dataset by its files' names and sizes and by all that is said of them.

    In whatever order the labels are wanted: that is the cache's affair.
    """
    found = hashlib.sha256()
    for exam in sorted(exams, key=lambda each: each.label):
        for each in exam.media:
            about = (each.name, each.path.stat().st_size, each.weeks, each.site, each.plane)
            found.update(repr((exam.label, exam.patient, exam.exam, *about)).encode())
    return found.hexdigest()
