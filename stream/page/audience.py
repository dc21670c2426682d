"""Who looks: says when nobody does any more, for a screen that is closed tells nobody anything."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

UNWATCHED_NS = 5_000_000_000
"""A page that is loaded anew is back within a second, and one that sleeps wakes up again."""


class Witness(Protocol):
    """Where it is written down."""

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write down what happened."""

    def state(self, part: str, value: str) -> None:
        """Write down that `part` is now `value`."""


class Audience:
    """Follows how many screens watch. `tell` speaks to whoever sits at the terminal."""

    def __init__(self, witness: Witness, tell: Callable[[str], None], now_ns: int) -> None:
        self._witness, self._tell = witness, tell
        self._viewers, self._empty_ns = 0, now_ns
        self._said_empty = False

    def look(self, viewers: int, now_ns: int) -> None:
        """Take how many screens watch now."""
        if viewers != self._viewers:
            name = "viewer-joined" if viewers > self._viewers else "viewer-left"
            self._witness.event(name, {"viewers": viewers})
            self._viewers, self._empty_ns = viewers, now_ns
        if viewers and self._said_empty:
            self._said_empty = False
            self._witness.state("display", "on")
            self._tell(f"{viewers} screen{'s' if viewers > 1 else ''} watching again")
        elif not viewers and not self._said_empty and now_ns - self._empty_ns > UNWATCHED_NS:
            self._said_empty = True
            self._witness.state("display", "off")
            self._tell("no screen is watching")
