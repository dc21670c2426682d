"""A slot of one between two threads, in which the newest wins: a slow taker never makes lag."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds one thing at most; what was overwritten before it was taken is counted.

    At every moment `put_count = taken + overrun + waiting`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: list[T] = []
        self._woken = False
        self.put_count = 0
        self.taken = 0
        self.overrun = 0

    @property
    def waiting(self) -> int:
        """How many things lie in the slot: 0 or 1."""
        return len(self._held)

    def put(self, thing: T) -> None:
        """Lay `thing` into the slot, over what may lie there; never waits."""
        with self._changed:
            self.put_count += 1
            self.overrun += len(self._held)
            self._held = [thing]
            self._changed.notify_all()

    def take(self, timeout_s: float) -> T | None:
        """Return what lies in the slot, or None after `timeout_s` or a `wake` without anything."""
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._woken, timeout_s)
            self._woken = False
            if not self._held:
                return None
            self.taken += 1
            return self._held.pop()

    def wake(self) -> None:
        """Make whoever waits look up: there is news of another kind."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()
