"""A queue on disk: SQLite that threads and processes share, and that a kill cannot halve."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import keep_private
from neurosono.stream.hospital.clock import QueueClock

BUSY_S = 30.0
DELAYS_S = (5, 15, 60, 300, 900, 3600)
"""From one try to the next; the last one stays."""
GIVE_UP_S = 86_400
"""A PACS that was away for a day is somebody's to look at."""


def find_next_ns(tries: int, now_ns: int) -> int:
    """Return when to try again after so many tries that failed, and one more."""
    return now_ns + DELAYS_S[min(tries, len(DELAYS_S) - 1)] * 10**9


def is_hopeless(tries: int, since_ns: int, now_ns: int) -> bool:
    """Return whether to try no more: after a day, of which a machine that was off is none."""
    return now_ns - since_ns > GIVE_UP_S * 10**9 and tries > len(DELAYS_S)


class Queue:
    """Rows of what waits; `now_ns` is the clock that it waits by."""

    def __init__(
        self,
        path: Path,
        schema: str,
        make_clock: Callable[[sqlite3.Connection], QueueClock] = QueueClock,
    ) -> None:
        """Make it or go on with it; raises `OutputError` where that cannot be."""
        self._lock = threading.Lock()
        try:
            keep_private(path)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(schema)
            self.now_ns = make_clock(self._connection)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"cannot use {path}: {error}") from error

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _query(self, words: str, given: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _asking("read"):
            return self._connection.execute(words, given).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write, as a whole or not at all; raises `OutputError` where the disk does not take it."""
        with self._lock, _asking("write down"):
            self._connection.execute("BEGIN IMMEDIATE")
            before = self._connection.total_changes
            try:
                yield self._connection
                if self._connection.total_changes != before:
                    self.now_ns.save(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(f"cannot {what} what waits: {error}") from error
