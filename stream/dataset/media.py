"""What a dataset lists: exams, the files of each, and the files that cannot be used."""

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError

WEEKS_MIN, WEEKS_MAX = 4.0, 45.0
"""Gestational weeks that can be: from the first embryonic echo to the longest pregnancies."""

NAMED_FILES = 10
"""How many unusable files one sentence names; the others are counted."""


@dataclass(frozen=True)
class Medium:
    """One file of an exam: a still, a clip or DICOM.

    `name` is the file's in the dataset, as reports of the dataset's owner name it. `weeks` is the
    gestational age at the exam, None where unknown; `site` and `plane` are "" where unknown.
    """

    path: Path
    name: str
    weeks: float | None = None
    site: str = ""
    plane: str = ""


@dataclass(frozen=True)
class ExamMedia:
    """One exam of one patient: its files in order, at least one."""

    label: str
    patient: str
    exam: str
    media: tuple[Medium, ...]


@dataclass(frozen=True)
class BadFile:
    """A file of the dataset that cannot be used, by its name there, and why not."""

    name: str
    reason: str

    @property
    def told(self) -> str:
        """The name as text, whatever bytes it holds."""
        return make_text(self.name)


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: a file system holds any bytes."""
    return name == make_text(name)


def make_text(name: str) -> str:
    """Return a name with the bytes that are no text spelled out."""
    return name.encode(errors="backslashreplace").decode()


def tell_bad_files(bad: Sequence[BadFile], total: int) -> str:
    """Return the one sentence that stops a run over files that cannot be used."""
    named = ", ".join(f"{each.told} ({each.reason})" for each in bad[:NAMED_FILES])
    more = f" and {len(bad) - NAMED_FILES} more" if len(bad) > NAMED_FILES else ""
    return (
        f"{len(bad)} of {total} files cannot be used: {named}{more}; mend or remove them, or leave "
        "them out with `--skip-bad`"
    )


def give_reason(error: Exception, path: Path) -> str:
    """Return why a file cannot be used: a source's error, without the path and the advice."""
    named = f"the folder {str(path)!r}" if path.is_dir() else repr(str(path))
    return str(error).split("; ")[0].replace(named, "it")


def tell_allowed(word: str, allowed: Sequence[str]) -> str:
    """Return the end of a sentence about an unknown word: the nearest, and what is allowed."""
    near = difflib.get_close_matches(word, allowed, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ";"
    return f"{hint} {'A' if near else 'a'}llowed are {', '.join(allowed)}"


def parse_weeks(text: str, where: str) -> float | None:
    """Return gestational weeks, None for an empty cell; `where` names the cell in the error."""
    if not text:
        return None
    try:
        weeks = float(text)
    except ValueError:
        weeks = math.nan
    if not WEEKS_MIN <= weeks <= WEEKS_MAX:
        raise InputError(
            f"{where} must be a number of weeks from {WEEKS_MIN:g} to {WEEKS_MAX:g}, or empty "
            f"where it is unknown; found {text!r}"
        )
    return weeks


def name_duplicates(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, in order."""
    return [name for name, count in Counter(names).items() if count > 1]
