"""The book of an archive: what there is to do, what is done, and what killed its worker.

One private SQLite file that is only ever added to. What is in it is done; an exam whose worker, or
whose whole run, was killed left nothing here, and is done anew.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurosono.archive.listing import Found
from neurosono.engine.contracts.errors import InputError, OutputError, RunError
from neurosono.engine.files import keep_private

NAME = "archive.sqlite"
APPLICATION_ID = 0x4E534E41
"""`NSNA`, in SQLite's header: this file is ours."""
VERSION = 1
TABLES = """
CREATE TABLE asked (said TEXT NOT NULL) STRICT;
CREATE TABLE exam (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    exam INTEGER NOT NULL REFERENCES exam,
    source BLOB NOT NULL,
    UNIQUE (exam, source)
) STRICT;
CREATE TABLE death (id INTEGER PRIMARY KEY, exam INTEGER NOT NULL REFERENCES exam) STRICT;
CREATE INDEX death_of_exam ON death (exam);
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY,
    exam INTEGER NOT NULL REFERENCES exam,
    failure TEXT,
    why TEXT,
    row TEXT NOT NULL
) STRICT;
CREATE INDEX outcome_of_exam ON outcome (exam);
"""
LATEST = """
SELECT exam.id AS exam, failure, why, row FROM exam JOIN outcome ON outcome.id =
(SELECT max(id) FROM outcome WHERE outcome.exam = exam.id)
"""
"""The last outcome of each exam that has one: failed ones may have been done again."""


@dataclass(frozen=True)
class Exam:
    """An exam to judge: its number in this archive, and what opens it."""

    number: int
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of an exam.

    `failure` is the name of an error of ours or `WorkerDied`, None where all went well; `why` the
    sentence, which may hold a path. `row` holds the figures, of what came before where it failed.
    """

    number: int
    failure: str | None = None
    why: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)


class Book:
    """An open book; one process writes it."""

    def __init__(self, out: Path) -> None:
        """Open or begin the book in the folder `out`; raises `OutputError`, `InputError`."""
        path = out / NAME
        try:
            out.mkdir(mode=0o700, parents=True, exist_ok=True)
            keep_private(path)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
            # Held to the end: two runs would do every exam twice.
            for setting in ("locking_mode=EXCLUSIVE", "synchronous=FULL", "trusted_schema=OFF"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._begin(path)
            self._connection.execute("COMMIT")
        except OSError as error:
            raise OutputError(
                f"cannot write to {out}: {error.strerror}; choose another --out"
            ) from error
        except sqlite3.Error as error:
            raise OutputError(
                f"{path} cannot be used ({error}): wait for the run that has it, or choose another "
                "--out"
            ) from error

    def _begin(self, path: Path) -> None:
        execute = self._connection.execute
        found = execute("PRAGMA application_id").fetchone()[0]
        version = execute("PRAGMA user_version").fetchone()[0]
        if (found, version) == (0, 0) and not execute("SELECT * FROM sqlite_schema").fetchall():
            for statement in TABLES.split(";"):
                execute(statement)
            execute(f"PRAGMA application_id = {APPLICATION_ID}")
            execute(f"PRAGMA user_version = {VERSION}")
        elif (found, version) != (APPLICATION_ID, VERSION):
            raise InputError(
                f"{path} is no book of an archive of version {VERSION}: choose another --out"
            )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def agree(self, asked: Mapping[str, Any]) -> None:
        """Note what was asked, or raise `InputError` where it was something else before."""
        now = json.dumps(asked, sort_keys=True)
        before = self._connection.execute("SELECT said FROM asked").fetchone()
        if before is None:
            self._connection.execute("INSERT INTO asked VALUES (?)", (now,))
        elif before[0] != now:
            was = json.loads(before[0])
            other = [name for name in asked if asked[name] != was.get(name)]
            raise InputError(
                f"this archive was begun with another {', '.join(other)}: give the same, so that "
                "one table holds one kind of number, or choose another --out"
            )

    @contextlib.contextmanager
    def together(self, *, whole: bool = False) -> Iterator[None]:
        """Wait for the disk once for all that is written meanwhile: many exams take less time.

        What was written before an error stays, unless it is to be `whole` or not there. Raises
        `RunError` where the disk takes no more.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                if whole and connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunError(
                f"{NAME} cannot be written ({error}): free some space and give the same command "
                "again: what is judged is kept"
            ) from error

    def take(self, found: Iterable[Found]) -> None:
        """Add what is not in the book; all of it or, where the listing breaks off, nothing."""
        execute = self._connection.execute
        with self.together(whole=True):
            for each in found:
                key, source = os.fsencode(each.key), os.fsencode(each.source)
                execute("INSERT OR IGNORE INTO exam (key) VALUES (?)", (key,))
                execute(
                    "INSERT OR IGNORE INTO file (exam, source) "
                    "SELECT id, ? FROM exam WHERE key = ?",
                    (source, key),
                )

    def list_waiting(self, deaths: int, *, again: bool) -> Iterator[Exam]:
        """Yield the exams to do whose worker died `deaths` times, in order, as they are asked for.

        `again`: those that failed, too.
        """
        before, last = 0, self._connection.execute("SELECT max(id) FROM outcome").fetchone()[0] or 0
        query = f"""
        SELECT id FROM exam WHERE id > ?
        AND (SELECT count(*) FROM death WHERE death.exam = exam.id) = ?
        AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.exam = exam.id
                        AND ({"failure IS NULL OR outcome.id > ?" if again else "1 OR ?"}))
        ORDER BY id LIMIT 1
        """  # noqa: S608 (no words of others in it)
        while line := self._connection.execute(query, (before, deaths, last)).fetchone():
            before = line[0]
            yield self.open(before)

    def open(self, number: int) -> Exam:
        """Return an exam with what opens it."""
        query = "SELECT source FROM file WHERE exam = ? ORDER BY id"
        files = self._connection.execute(query, (number,)).fetchall()
        return Exam(number, tuple(os.fsdecode(source) for (source,) in files))

    def write(self, outcome: Outcome) -> bool:
        """Note what became of an exam; on the disk when this returns, or `together` ends.

        Returns whether it had failed before: then it was done again.
        """
        query = "SELECT 1 FROM outcome WHERE exam = ? LIMIT 1"
        before = self._connection.execute(query, (outcome.number,)).fetchone()
        self._connection.execute(
            "INSERT INTO outcome (exam, failure, why, row) VALUES (?, ?, ?, ?)",
            (outcome.number, outcome.failure, outcome.why, json.dumps(outcome.row)),
        )
        return before is not None

    def note_death(self, number: int) -> int:
        """Note that an exam's worker died; returns how often it did."""
        self._connection.execute("INSERT INTO death (exam) VALUES (?)", (number,))
        query = "SELECT count(*) FROM death WHERE exam = ?"
        return int(self._connection.execute(query, (number,)).fetchone()[0])

    def forgive(self) -> None:
        """Forget the deaths of exams that were listed as failed, so that they are done again."""
        self._connection.execute(
            "DELETE FROM death WHERE exam IN (SELECT exam FROM outcome WHERE failure IS NOT NULL)"
        )

    def read(self) -> Iterator[tuple[Outcome, str]]:
        """Yield every outcome in the order of the exams, with the first thing that opens each."""
        first = "(SELECT source FROM file WHERE file.exam = o.exam ORDER BY id LIMIT 1)"
        query = f"SELECT o.*, {first} FROM ({LATEST}) AS o ORDER BY o.exam"  # noqa: S608
        for number, failure, why, row, source in self._connection.execute(query):
            yield Outcome(number, failure, why, json.loads(row)), os.fsdecode(source)

    def count(self) -> tuple[int, int, int]:
        """Return how many exams there are, how many are done, and how many of those failed."""
        query = f"""
        SELECT (SELECT count(*) FROM exam), count(*), count(failure) FROM ({LATEST})
        """  # noqa: S608
        listed, done, failed = self._connection.execute(query).fetchone()
        return int(listed), int(done), int(failed)
