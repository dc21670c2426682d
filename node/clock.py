"""Whether somebody set this machine's clock: queue, retries and retention live by it."""

import time
from collections.abc import Callable

SET_S = 5.0
"""A clock that moves so much in one look was set; time servers move it less."""


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while a machine sleeps


class ClockWatch:
    """Compares the clock with one that nobody can set; both give seconds."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _since_boot_s
    ) -> None:
        self._wall, self._steady = wall, steady
        self._ahead_s = wall() - steady()
        self.was_set = False

    def look(self) -> str:
        """Return in a sentence that the clock was set since the last look; else nothing."""
        ahead_s = self._wall() - self._steady()
        moved_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if abs(moved_s) < SET_S:
            return ""
        self.was_set = True
        way = "forward" if moved_s > 0 else "back"
        return (
            f"this machine's clock was set {way} by {abs(moved_s):.0f} s: no study is lost by it; "
            "what is kept for --keep-days stays until the node is started again"
        )
