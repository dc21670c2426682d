"""The journal's writer: a thread that brings the notebook into the database, a batch at a time."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.stream.journal.apply import Applier
from neurosono.stream.journal.notebook import Notebook
from neurosono.stream.journal.schema import connect, transaction

log = logging.getLogger(__name__)

PERIOD_S = 0.1
"""The longest that an entry waits for its commit; a power cut costs no more."""
BATCH_BYTES = 64 * 1024
"""So much waiting wakes the writer at once: about 100 results."""
COMMIT_BYTES = 1024 * 1024
"""About the most that goes into one transaction: 1500 results, or one key frame."""
BUSY_MS = 50
"""How long the writer itself waits for a lock before it says so."""
RENEW_S = 1.0
"""How often a ring that was cut or taken away is tried to be made anew."""
LATE_NS = 700_000_000
"""An entry that waits for longer is said to be unrecorded: the screens say so within a second."""

UNWRITABLE = (
    *(sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError),
    *(NeurosonoError, ValueError, TypeError, LookupError, ArithmeticError, cv2.error),
)
"""What an entry that can never be written gives, as with too large a number; all other errors of
SQLite may pass."""
FAULTS = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
}
MEANINGS = {
    "full": "the disk or the journal's limit is full: free some space, or prune old exams",
    "locked": "another program holds the journal: end it",
    "disk": "the journal cannot be written: look at its disk",
    "gone": "the journal's file is not where it was: put it back",
    "slow": "the journal's disk does not keep up",
    "stopped": "the journal's writer has ended: end this exam and start again",
}


@dataclass(frozen=True)
class JournalStatus:
    """How the journal does.

    `fault` is None, `full`, `locked`, `disk`, `gone` or `stopped`; while it lasts, entries wait and
    nothing is lost. `lost` counts entries for which there was no room, `refused` those that can
    never be written (their exam was deleted). Both stay 0 in a journal that is whole. `waits_ns` is
    for how long the oldest entry has waited.
    """

    fault: str | None = None
    message: str = ""
    committed: int = 0
    lost: int = 0
    refused: int = 0
    pending_bytes: int = 0
    waits_ns: int = 0

    @property
    def healthy(self) -> bool:
        """Return whether everything that was said is in the journal, or soon will be."""
        return self.fault is None and not self.lost and not self.refused

    @property
    def trouble(self) -> str:
        """Return why what is shown now is not recorded, in words; empty where it is."""
        if self.fault in ("gone", "stopped"):
            return self.message
        if self.waits_ns > LATE_NS:
            return self.message or MEANINGS["slow"]
        if self.lost or self.refused:
            return f"{self.lost + self.refused} entries of this session are lost"
        return ""


class _GoneError(Exception):
    """The database is not where it was."""


class Writer:
    """Drains a notebook into the database; `start` gives it a thread of its own."""

    def __init__(
        self,
        path: Path,
        notebook: Notebook,
        *,
        limit_bytes: int | None = None,
        on_change: Callable[[JournalStatus, str | None, float], None] = lambda *_: None,
        on_refused: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`on_change` hears, on the writer's thread, of each fault and of its end.

        With it go the fault that was before, and for how many milliseconds something was wrong.
        `on_refused` gets each entry that can never be written. `limit_bytes` bounds the database.
        """
        self._path, self._notebook, self._limit_bytes = path, notebook, limit_bytes
        self._on_change, self._on_refused = on_change, on_refused
        self._status = JournalStatus()
        self._faulty_since = 0.0
        self._identity: tuple[int, int] | None = None
        self._log_identity: tuple[int, int] | None = None
        self._renewed_s = float("-inf")
        self._wake = threading.Event()
        self._stopping = False
        self._round = threading.Condition()
        self._rounds = 0
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> JournalStatus:
        """Return how it goes, now."""
        said_ns = self._notebook.said_ns
        waits_ns = 0 if said_ns is None else time.monotonic_ns() - said_ns
        pending = self._notebook.pending_bytes
        status = replace(self._status, pending_bytes=pending, waits_ns=waits_ns)
        thread = self._thread
        if thread is not None and not thread.is_alive() and not self._stopping:
            return replace(status, fault="stopped", message=MEANINGS["stopped"])
        return status

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Write now, not at the end of the period."""
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was said is committed; returns whether it is."""
        deadline, begun = time.monotonic() + timeout_s, self._rounds
        while self._notebook.pending_bytes:
            seen = self._rounds
            self._wake.set()
            left_s = max(0.0, deadline - time.monotonic())
            with self._round:
                if not self._round.wait_for(lambda: self._rounds > seen, left_s):  # noqa: B023
                    break
            # a round that was under way may have failed before the cause went away
            if self.status.fault is not None and self._rounds > begun + 1:
                break
        return not self._notebook.pending_bytes

    def stop(self) -> JournalStatus:
        """Write what is left, as far as that is possible at once, and end the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        return self.status

    def drain(self) -> None:
        """Write all that the notebook holds, on this thread."""
        with self._connect() as (connection, applier):
            self._drain(connection, applier)

    def _run(self) -> None:
        while True:
            try:
                with self._connect() as (connection, applier):
                    self._serve(connection, applier)
                return
            except _GoneError:
                self._note_fault("gone")
            except sqlite3.Error as error:  # the database cannot even be opened
                self._note_fault(self._name_fault(error))
            self._end_round()
            if self._stopping:
                return
            self._pause()

    def _serve(self, connection: sqlite3.Connection, applier: Applier) -> None:
        last = False
        while not last:
            last = self._stopping  # asked before draining: what was said before `stop` is written
            if not self._is_there():
                self._save_log(connection)
                raise _GoneError
            self._look_after_ring()
            self._drain(connection, applier)
            self._end_round()
            if not last:
                self._pause()

    def _is_there(self) -> bool:
        """Whether database and log are the files that they were: SQLite itself never looks again.

        By name only: to close any descriptor of a database would drop the locks on it.
        """
        if _identify(self._path) != self._identity:
            return False
        log_identity = _identify(_log_of(self._path))
        if self._log_identity is None:
            self._log_identity = log_identity
        return log_identity == self._log_identity

    def _save_log(self, connection: sqlite3.Connection) -> None:
        """Bring what stands in the log into a database that was moved: the log may not go along."""
        if _identify(_log_of(self._path)) in (None, self._log_identity):
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _look_after_ring(self) -> None:
        """Make the ring anew where it was cut or taken away: it is what outlives this process."""
        if self._notebook.is_whole or time.monotonic() - self._renewed_s < RENEW_S:
            return
        self._renewed_s = time.monotonic()
        try:
            self._notebook.renew()
        except OSError as error:
            log.warning("the journal's notebook cannot be made anew: %s", error.strerror)

    def _pause(self) -> None:
        self._wake.wait(PERIOD_S)
        self._wake.clear()

    def _end_round(self) -> None:
        with self._round:
            self._rounds += 1
            self._round.notify_all()

    @contextmanager
    def _connect(self) -> Iterator[tuple[sqlite3.Connection, Applier]]:
        identity = _identify(self._path)
        with closing(connect(self._path, busy_ms=BUSY_MS)) as connection:
            if self._identity not in (None, identity) and not self._goes_on_in(connection):
                raise _GoneError
            self._identity, self._log_identity = identity, None
            if self._limit_bytes is not None:
                page = connection.execute("PRAGMA page_size").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count={max(1, self._limit_bytes // page)}")
            yield connection, Applier(connection, self._notebook.path.name)

    def _goes_on_in(self, connection: sqlite3.Connection) -> bool:
        """Whether another file holds all that was written so far: ours, of a disk that is back."""
        row = connection.execute(
            "SELECT position FROM notebook WHERE name = ?", (self._notebook.path.name,)
        ).fetchone()
        return row is not None and row[0] == self._notebook.position

    def _drain(self, connection: sqlite3.Connection, applier: Applier) -> None:
        try:
            while self._commit(connection, applier):
                if self._status.fault is not None:
                    self._note_health()  # may say something to the journal: hence within the loop
        except sqlite3.Error as error:
            applier.forget()
            self._note_fault(self._name_fault(error))

    def _commit(self, connection: sqlite3.Connection, applier: Applier) -> bool:
        """Write a batch in one transaction; returns whether there was anything to write."""
        notes = self._notebook.take(COMMIT_BYTES)
        if not notes:
            return False
        refused = 0
        with transaction(connection):
            for note in notes:
                refused += not self._apply(applier, b"".join(note.parts))
            connection.execute(
                "INSERT INTO notebook VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET position = excluded.position",
                (self._notebook.path.name, self._notebook.end_of(notes)),
            )
        self._notebook.forget(notes)
        status = self._status
        committed = status.committed + len(notes) - refused
        self._status = replace(status, committed=committed, refused=status.refused + refused)
        return True

    def _apply(self, applier: Applier, data: bytes) -> bool:
        try:
            applier.apply(data)
        except UNWRITABLE as error:
            log.warning("the journal refused an entry: %s", type(error).__name__)
            self._on_refused(data)
            return False
        return True

    def _name_fault(self, error: sqlite3.Error) -> str:
        if _identify(self._path) is None:
            return "gone"
        return FAULTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "disk")

    def _note_fault(self, fault: str) -> None:
        if self._status.fault is None:
            self._faulty_since = time.monotonic()
        if self._status.fault != fault:
            self._change(fault, MEANINGS[fault])

    def _note_health(self) -> None:
        self._change(None, "")

    def _change(self, fault: str | None, message: str) -> None:
        before = self._status.fault
        self._status = replace(self._status, fault=fault, message=message)
        self._on_change(self.status, before, (time.monotonic() - self._faulty_since) * 1e3)


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
