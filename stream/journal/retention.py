"""Getting rid of exams: wholly, with their pictures, and overwritten on the disk."""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.reader import ExamSummary
from neurosono.stream.journal.schema import connect, explain, transaction

AGE = re.compile(r"([1-9]\d{0,4})([hdw])")
SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
PAGES_FREED = 100_000
"""At most so many pages are given back to the file system at a time: 400 MB."""


@dataclass(frozen=True)
class Deleted:
    """What a deletion did; `scrubbed` is False while a running exam holds the write-ahead log.

    Until that exam ends the log may still hold what was deleted; its end overwrites it.
    """

    exam_ids: tuple[str, ...]
    scrubbed: bool


def parse_age(text: str) -> int:
    """Return the nanoseconds in `12h`, `30d` or `8w`; raises `InputError` on anything else."""
    found = AGE.fullmatch(text)
    if found is None:
        raise InputError(f"an age is a number with h, d or w, such as 30d; found {text!r}")
    return int(found[1]) * SECONDS[found[2]] * 1_000_000_000


def find_older(journal: Journal, age_ns: int, now_wall_ns: int) -> list[ExamSummary]:
    """Return the exams that ended, or if they did not end began, longer than `age_ns` ago."""
    with journal.read() as reader:
        found = reader.exams()
    return [
        exam
        for exam in found
        if not exam.running and now_wall_ns - (exam.ended_wall_ns or exam.begun_wall_ns) > age_ns
    ]


def delete_exams(journal: Journal, exam_ids: list[str]) -> Deleted:
    """Delete exams with all results, events and pictures; raises `InputError` for a running one.

    Deleted content is overwritten with zeros in the database, and the write-ahead log is emptied.
    What a journaling or copying file system or a flash disk keeps of old blocks is out of reach.
    """
    with journal.read() as reader:
        found = [reader.exam(exam_id) for exam_id in exam_ids]
    running = [exam.exam_id for exam in found if exam.running]
    if running:
        raise InputError(f"exam {running[0]} is running: end it first")
    try:
        with closing(connect(journal.path)) as connection:
            with transaction(connection):
                connection.executemany(
                    "DELETE FROM exam WHERE name = ?", [(exam.exam_id,) for exam in found]
                )
            scrubbed = _scrub(connection)
    except sqlite3.Error as error:
        raise RunError(f"nothing was deleted: {explain(journal.path, error)}") from error
    return Deleted(tuple(exam.exam_id for exam in found), scrubbed)


def _scrub(connection: sqlite3.Connection) -> bool:
    """Give free pages back and empty the write-ahead log; returns whether nothing stood by it."""
    # executescript, for execute takes one step of this pragma only, which frees one page
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES_FREED})")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
