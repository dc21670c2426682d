"""A slot of one between two threads, in which the newest wins: a slow taker never makes lag."""

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class SlotCounts:
    """What became of what was put in: `put = taken + overrun + waiting`, at every moment."""

    put: int
    taken: int
    overrun: int
    waiting: int


class Latest(Generic[T]):
    """Holds one thing at most; what was overwritten before it was taken is counted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._held: list[T] = []
        self._woken = False
        self._put = self._taken = self._overrun = 0

    @property
    def counts(self) -> SlotCounts:
        """What became of everything so far."""
        with self._changed:
            return SlotCounts(self._put, self._taken, self._overrun, len(self._held))

    def put(self, thing: T) -> None:
        """Lay `thing` into the slot, over what may lie there; never waits."""
        with self._changed:
            self._put += 1
            self._overrun += len(self._held)
            self._held = [thing]
            self._ring()

    def take(self, timeout_s: float) -> T | None:
        """Return what lies in the slot, or None after `timeout_s` or a `wake` without anything."""
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._woken, timeout_s)
            self._woken = False
            with contextlib.suppress(OSError):
                self._ear.recv(4096)
            if not self._held:
                return None
            self._taken += 1
            return self._held.pop()

    def wake(self) -> None:
        """Make whoever waits look up: there is news of another kind."""
        with self._changed:
            self._woken = True
            self._ring()

    def fileno(self) -> int:
        """Return a descriptor that is readable while there is something to take or to look at."""
        return self._ear.fileno()

    def close(self) -> None:
        """Let go of the descriptor; nothing is put in or taken any more."""
        with self._changed:
            self._bell.close()
            self._ear.close()

    def _ring(self) -> None:
        self._changed.notify_all()
        with contextlib.suppress(OSError):  # closed, or rung so often that it is heard anyway
            self._bell.send(b"!")
