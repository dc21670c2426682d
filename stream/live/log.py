"""The log of a live session: a line of JSON an event, in the journal's own words.

No line holds a name, an exam or free text: what the journal would refuse is not written here.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neurosono.engine.files import writing

STDOUT = 1

LEVELS = {
    "failed": "error",
    "gave-up": "error",
    "journal-lost": "error",
    "ensemble-failed": "error",
    "restarted": "warning",
    "lost": "warning",
    "timeout": "warning",
    "stuck": "warning",
    "damage": "warning",
    "clock-jump": "warning",
    "journal-held-up": "warning",
}
"""Events that somebody should look at; all others are `info`."""


def _now() -> datetime:
    return datetime.now(UTC)


class JsonLog:
    """Writes to a file, or with `-` to standard output. A log that cannot be written stops nothing.

    One line is one write, so that lines of several sessions in one file do not mix.
    """

    def __init__(self, where: Path, now: Callable[[], datetime] = _now) -> None:
        """Open the log, to add to it; the file is private. Raises `OutputError`."""
        self._now = now
        self.lost = 0
        """Lines that could not be written."""
        with writing(f"the log {where}", "choose another --log-json"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.dup(STDOUT) if str(where) == "-" else os.open(where, flags, 0o600)

    def note_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write what the record was told."""
        line = {
            "at": self._now().isoformat(timespec="milliseconds"),
            "level": LEVELS.get(name, "info"),
            "event": name,
            **fields,
        }
        try:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        except OSError:
            self.lost += 1

    def note_age(self, what: str, age_ms: float) -> None:
        """Ages are for the metrics."""

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
