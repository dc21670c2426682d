"""What a node has taken and what became of it: files in a folder, and a queue in SQLite beside it.

An instance counts as taken once its file and its row are on the disk, and only then the sender is
told so. What is known is not taken twice, unless judging it failed. The instances of one study that
came before it was judged are one batch; what comes later is another batch, an exam of its own.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.hospital.queue import GIVE_UP_S, Queue, find_next_ns, is_hopeless

SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
  id INTEGER PRIMARY KEY AUTOINCREMENT, study TEXT NOT NULL, sender TEXT NOT NULL,
  standing TEXT NOT NULL, began_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
  next_ns INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
  said TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS instance (
  key TEXT PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batch (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS batch_of_study ON batch (study, standing);
CREATE INDEX IF NOT EXISTS instance_of_batch ON instance (batch);
"""
READY = "worker.ready"
"""A file that is there while a worker has all that it needs."""
MOST_TRIES = 2
"""A study on which the worker died so often is not tried again: it would die for ever."""
ROOM_S = 60
"""A study for which the disk has no room is tried again so much later."""


class BatchStanding(StrEnum):
    """How far a batch is."""

    OPEN = "open"
    WORKING = "working"
    JUDGED = "judged"
    STORED = "stored"
    FAILED = "failed"


@dataclass(frozen=True)
class Batch:
    """Some instances of one study; times are nanoseconds since 1970."""

    number: int
    sender: str
    standing: BatchStanding
    began_ns: int
    changed_ns: int
    tries: int
    said: str
    cines: int


_COLUMNS = "id, sender, standing, began_ns, changed_ns, tries, said, (SELECT count(*) FROM instance WHERE batch = batch.id)"  # noqa: E501


class Spool(Queue):
    """The queue; safe to use from several threads, and from several processes at once."""

    def __init__(self, folder: Path, *more: Any) -> None:
        """Make it or go on with it; raises `OutputError` where the folder cannot be used."""
        self.folder = folder
        self._growing: dict[Path, tuple[int, float]] = {}
        try:
            for each in (folder, self.incoming, folder / "batches", folder / "results"):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot use {folder} as a node's folder: {error}") from error
        super().__init__(folder / "queue.sqlite", SCHEMA, *more)

    @property
    def incoming(self) -> Path:
        """Where files lie while they arrive."""
        return self.folder / "incoming"

    def store(self, study: str, instance: str, sender: str, file: Path, now_ns: int) -> bool:
        """Take a file that has arrived; returns whether it is new. Raises `OSError`.

        `study` and `instance` are UIDs, of which only hashes are kept.
        """
        key, study_key = _hash(instance), _hash(study)
        with file.open("rb") as arrived:
            os.fsync(arrived.fileno())
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT standing FROM instance JOIN batch ON batch.id = batch WHERE key = ?", (key,)
            ).fetchone()
            if known is not None and known[0] != BatchStanding.FAILED:
                return False
            row = connection.execute(
                "SELECT id FROM batch WHERE study = ? AND sender = ? AND standing = ?",
                (study_key, sender, BatchStanding.OPEN),
            ).fetchone()
            if row is None:
                row = connection.execute(
                    "INSERT INTO batch (study, sender, standing, began_ns, changed_ns) "
                    "VALUES (?, ?, ?, ?, ?) RETURNING id",
                    (study_key, sender, BatchStanding.OPEN, now_ns, now_ns),
                ).fetchone()
            (number,) = row
            home = self.files_of(number)
            home.mkdir(mode=0o700, exist_ok=True)
            file.rename(home / f"{key}.dcm")
            _sync_folder(home)
            connection.execute("INSERT OR REPLACE INTO instance VALUES (?, ?)", (key, number))
            connection.execute("UPDATE batch SET changed_ns = ? WHERE id = ?", (now_ns, number))
        return True

    def take(self, quiet_ns: int, now_ns: int) -> Batch | None:
        """Begin to judge the oldest batch to which nothing was added for so long."""
        with self._transaction() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM batch WHERE standing = ? "  # noqa: S608
                "AND changed_ns <= ? AND next_ns <= ? ORDER BY id LIMIT 1",
                (BatchStanding.OPEN, now_ns - quiet_ns, now_ns),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE batch SET standing = ?, tries = tries + 1 WHERE id = ?",
                (BatchStanding.WORKING, row[0]),
            )
        return _read(row)

    def defer(self, number: int, said: str, now_ns: int) -> None:
        """A batch could not be judged for want of room: later again, for a day after it came."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batch SET tries = max(0, tries - 1), next_ns = ?, said = ?, "
                "standing = iif(? - changed_ns > ?, ?, ?) WHERE id = ?",
                (
                    *(now_ns + ROOM_S * 10**9, said, now_ns, GIVE_UP_S * 10**9),
                    *(BatchStanding.FAILED, BatchStanding.OPEN, number),
                ),
            )

    def reopen(self) -> None:
        """Take up what could not be brought to its end by the one worker that asks for this."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batch SET standing = ?, tries = max(0, tries - 1) WHERE standing = ?",
                (BatchStanding.OPEN, BatchStanding.WORKING),
            )

    def recover(self, now_ns: int) -> None:
        """Take up what a worker that died has left; called before one begins.

        What it was judging is judged again, once; files of which the sender was not told go.
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batch SET standing = ?, said = ?, changed_ns = ? "
                "WHERE standing = ? AND tries >= ?",
                (
                    BatchStanding.FAILED,
                    "the process that judged it died on it twice",
                    now_ns,
                    BatchStanding.WORKING,
                    MOST_TRIES,
                ),
            )
            connection.execute(
                "UPDATE batch SET standing = ? WHERE standing = ?",
                (BatchStanding.OPEN, BatchStanding.WORKING),
            )

    def sweep(self) -> None:
        """Delete what arrived in part, or was never told of: before anybody stores or judges."""
        for path in self.incoming.iterdir():
            path.unlink(missing_ok=True)
        known = {f"{key}.dcm" for (key,) in self._query("SELECT key FROM instance")}
        for path in (self.folder / "batches").glob("*/*.dcm"):
            if path.name not in known:
                path.unlink()

    def sweep_incoming(self, longest_s: float, now_s: float) -> None:
        """Delete what has not grown for so long, as seen from here: a sender broke off.

        `now_s` is of a clock that nobody can set.
        """
        before, self._growing = self._growing, {}
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # it has arrived meanwhile
                size = path.stat().st_size
                known, since_s = before.get(path, (-1, now_s))
                self._growing[path] = size, (since_s if size == known else now_s)
                if now_s - self._growing[path][1] > longest_s:
                    path.unlink()

    def note(self, number: int, standing: BatchStanding, now_ns: int, said: str = "") -> None:
        """Write down how far a batch is."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batch SET standing = ?, changed_ns = ?, said = ? WHERE id = ?",
                (standing, now_ns, said, number),
            )
            if standing is BatchStanding.JUDGED:
                connection.execute("UPDATE batch SET tries = 0 WHERE id = ?", (number,))

    def postpone(self, number: int, said: str, now_ns: int) -> None:
        """Results could not be stored: later again, for a day."""
        with self._transaction() as connection:
            tries, changed_ns = connection.execute(
                "SELECT tries, changed_ns FROM batch WHERE id = ?", (number,)
            ).fetchone()
            given_up = is_hopeless(tries, changed_ns, now_ns)
            connection.execute(
                "UPDATE batch SET tries = tries + 1, next_ns = ?, said = ?, standing = ? "
                "WHERE id = ?",
                (
                    find_next_ns(tries, now_ns),
                    said,
                    BatchStanding.FAILED if given_up else BatchStanding.JUDGED,
                    number,
                ),
            )

    def list_due(self, now_ns: int) -> list[Batch]:
        """Return the batches whose results are to be sent now."""
        rows = self._query(
            f"SELECT {_COLUMNS} FROM batch WHERE standing = ? AND next_ns <= ? ORDER BY id",  # noqa: S608
            (BatchStanding.JUDGED, now_ns),
        )
        return [_read(row) for row in rows]

    def batches(self, newest: int = 1000) -> list[Batch]:
        """Return the newest batches, in the order in which they began."""
        rows = self._query(f"SELECT {_COLUMNS} FROM batch ORDER BY id DESC LIMIT ?", (newest,))  # noqa: S608
        return [_read(row) for row in reversed(rows)]

    def read_standing(self, number: int) -> BatchStanding | None:
        """Return how far a batch is; None where it is forgotten."""
        rows = self._query("SELECT standing FROM batch WHERE id = ?", (number,))
        return BatchStanding(rows[0][0]) if rows else None

    def count_waiting(self) -> int:
        """Return how many batches are neither stored nor failed."""
        rows = self._query(
            "SELECT count(*) FROM batch WHERE standing NOT IN (?, ?)",
            (BatchStanding.STORED, BatchStanding.FAILED),
        )
        return int(rows[0][0])

    def forget(self, before_ns: int) -> int:
        """Forget what was done before then; returns how many batches that were."""
        old = self._query(
            "SELECT id FROM batch WHERE standing IN (?, ?) AND changed_ns < ?",
            (BatchStanding.STORED, BatchStanding.FAILED, before_ns),
        )
        for (number,) in old:
            self.forget_files(number)
            with self._transaction() as connection:
                connection.execute("DELETE FROM batch WHERE id = ?", (number,))
        return len(old)

    def files_of(self, number: int) -> Path:
        """Return the folder of a batch's cines."""
        return self.folder / "batches" / str(number)

    def results_of(self, number: int) -> Path:
        """Return the folder of a batch's results."""
        return self.folder / "results" / str(number)

    def forget_files(self, number: int) -> None:
        """Delete cines and results of a batch."""
        for each in (self.files_of(number), self.results_of(number)):
            shutil.rmtree(each, ignore_errors=True)


def _read(row: Sequence) -> Batch:  # type: ignore[type-arg]
    number, sender, standing, *rest = row
    return Batch(number, sender, BatchStanding(standing), *rest)


def _hash(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
