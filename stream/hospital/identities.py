"""Whose an exam is: a file an exam beside the journal, which itself never knows.

Deleting the files (or their folder) takes every identity away and leaves the exams.
"""

import json
from pathlib import Path

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.files import PRIVATE, write_whole
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.journal.words import EXAM_ID

FOLDER = "identities"


def keep_identity(journal: Path, exam_id: str, entry: Entry, step: int = 0) -> None:
    """Write down whose an exam is, or was in one of its steps; raises `OutputError`.

    Its user alone may read it.
    """
    path = _find(journal, exam_id, step)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path.parent}: {error.strerror}") from error
    write_whole(path, json.dumps(entry.to_json(), ensure_ascii=False), mode=PRIVATE)


def read_kept(journal: Path, exam_id: str, step: int = 0) -> Entry | None:
    """Return whose an exam is, or was in one of its steps; None where nobody said."""
    path = _find(journal, exam_id, step)
    try:
        return Entry.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read: name a DICOM file of the study with --identity-of instead"
        ) from error


def forget_identity(journal: Path, exam_id: str) -> None:
    """Delete what was written down of an exam."""
    for path in _find(journal, exam_id).parent.glob(f"{exam_id}.*"):
        path.unlink(missing_ok=True)


def forget_step(journal: Path, exam_id: str, step: int) -> None:
    """Delete whose a step was, or (0) the exam: nobody need be told of it any more."""
    _find(journal, exam_id, step).unlink(missing_ok=True)


def _find(journal: Path, exam_id: str, step: int = 0) -> Path:
    if EXAM_ID.fullmatch(exam_id) is None:
        raise InputError(f"no exam is named {exam_id!r:.60}")
    name = f"{exam_id}.{step}.json" if step else f"{exam_id}.json"
    return journal.parent / FOLDER / name
