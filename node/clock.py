"""Whether somebody set this machine's clock: dates in results are by it, and nothing else."""

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

    def look(self) -> str:
        """Return in a sentence that the clock was set since the last look; else nothing."""
        ahead_s = self._wall() - self._steady()
        moved_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if abs(moved_s) < SET_S:
            return ""
        way = "forward" if moved_s > 0 else "back"
        return (
            f"this machine's clock was set {way} by {abs(moved_s):.0f} s: nothing that waits goes "
            "by it, but results are dated by it; see that it is right"
        )
