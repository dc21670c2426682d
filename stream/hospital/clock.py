"""A queue's clock: nobody can set it, and it goes on over restarts of process and machine.

What waits for minutes or days waits by this clock; the one on the wall is only told to people.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS clock (
  one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT NOT NULL, ahead_ns INTEGER NOT NULL,
  seen_ns INTEGER NOT NULL
);
"""
BOOT = Path("/proc/sys/kernel/random/boot_id")


def read_boot() -> str:
    """Return what names the time since this machine was started."""
    return BOOT.read_text(encoding="ascii").strip()


def read_up_ns() -> int:
    """Return how long it has run; that goes on while it sleeps, and whatever sets its clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class QueueClock:
    """Nanoseconds since 1970 as a queue reckons them; the same for all who use its file.

    Within one run of the machine it goes by the time since the start. Only over a restart the wall
    is asked, for nothing else ran meanwhile, and it is never believed to have gone back.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        up_ns: Callable[[], int] = read_up_ns,
        boot: Callable[[], str] = read_boot,
    ) -> None:
        """Go on with the clock of a queue's file; within a transaction of its own."""
        connection.executescript(SCHEMA)
        self._up_ns = up_ns
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute("SELECT boot, ahead_ns, seen_ns FROM clock").fetchone()
            if row is not None and row[0] == boot():
                self._ahead_ns = int(row[1])
            else:
                now_ns = max(wall_ns(), 0 if row is None else int(row[2]))
                self._ahead_ns = now_ns - up_ns()
                connection.execute(
                    "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)",
                    (boot(), self._ahead_ns, now_ns),
                )
        finally:
            connection.execute("COMMIT")

    def __call__(self) -> int:
        """Return the time now."""
        return self._ahead_ns + self._up_ns()

    def save(self, connection: sqlite3.Connection) -> None:
        """Write down how late it is, within a transaction that writes anyway."""
        connection.execute("UPDATE clock SET seen_ns = ?", (self(),))
