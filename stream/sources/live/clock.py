"""One strictly rising time for a live exam, whatever its sender's clock does."""

import math
from dataclasses import dataclass

from neurosono.stream.sources.clock import LONGEST_GAP_S, SMALLEST_STEP_S

_SMALLEST_REPAIR_S = 1e-3
"""After a repair the next picture is at least this much later: pictures that arrive in one burst
still need times of their own."""


@dataclass(frozen=True)
class Jump:
    """The sender's clock left its course: it stepped by `step_s` while `elapsed_s` went by."""

    step_s: float
    elapsed_s: float


class LiveClock:
    """Turns a sender's timestamps into the time of the exam, by when the pictures arrived.

    While timestamps rise they are followed. Where one is missing, not after its predecessor, or
    over `LONGEST_GAP_S` ahead of the time that went by, and where a connection begins, the exam
    moves on by the time that went by here: a gap of 20 s in an exam is 20 s long.
    """

    def __init__(self) -> None:
        self.repaired = 0
        self._last_s: float | None = None
        self._last_received_ns = 0
        self._shift_s: float | None = None

    def begin(self) -> None:
        """Start a connection: its clock has nothing to do with the one before."""
        self._shift_s = None

    def stamp(self, raw_s: float | None, received_ns: int) -> tuple[float, Jump | None]:
        """Return the exam's time of the next picture, and the jump that was repaired, if any."""
        elapsed_s = self._elapsed_s(received_ns)
        due_s = 0.0 if self._last_s is None else self._last_s + max(elapsed_s, _SMALLEST_REPAIR_S)
        time_s, jump = due_s, None
        if raw_s is None or not math.isfinite(raw_s):
            self.repaired += 1
        elif self._shift_s is None or self._last_s is None:
            self._shift_s = due_s - raw_s
        else:
            step_s = raw_s + self._shift_s - self._last_s
            if step_s < SMALLEST_STEP_S or step_s - elapsed_s > LONGEST_GAP_S:
                jump = Jump(step_s, elapsed_s)
                self.repaired += 1
                self._shift_s = due_s - raw_s
            else:
                time_s = self._last_s + step_s
        self._last_s = time_s
        self._last_received_ns = max(received_ns, self._last_received_ns)
        return time_s, jump

    def _elapsed_s(self, received_ns: int) -> float:
        if self._last_s is None:
            return 0.0
        return max(0.0, (received_ns - self._last_received_ns) / 1e9)
