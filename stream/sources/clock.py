"""One strictly rising time for an exam of many clips, whatever their timestamps are like."""

import math

LONGEST_GAP_S = 10.0
"""A longer silence inside a clip is taken for a damaged timestamp. Decision: recorders with a
variable rate write nothing while the screen is frozen, and freezes of some seconds are a part of
scanning; gaps that are longer come from clocks that jumped."""

LONGEST_GAP_INTERVALS = 20
"""Nor is a gap too long that is under so many usual intervals: a slow clip has long ones."""

SMALLEST_STEP_S = 1e-6
"""Steps under this are taken for equal timestamps; no container counts finer than nanoseconds,
and no scanner gives a million pictures a second."""


class ExamClock:
    """Turns the timestamps of clips into the time of the exam, and counts what it had to repair.

    A timestamp that is missing, not after its predecessor, or too far ahead becomes its
    predecessor plus the clip's usual interval. Later timestamps are trusted again as they are if
    they fit (one bad timestamp) or else relative to the repaired one (a clock that was reset), so
    that a variable rate survives either.
    """

    def __init__(self) -> None:
        self.repaired = 0
        self._interval_s = 0.0
        self._start_s = 0.0
        self._last_s: float | None = None
        self._shifts_s: list[float] = []

    def begin_clip(self, interval_s: float) -> None:
        """Start the next clip where the last picture of the one before ends."""
        if self._last_s is not None:
            self._start_s = self._last_s + self._interval_s
        self._interval_s = interval_s
        self._last_s = None
        self._shifts_s = []

    def stamp(self, raw_s: float | None) -> float:
        """Return the time in the exam of the clip's next picture, given its own timestamp."""
        known = raw_s is not None and math.isfinite(raw_s)
        time_s = self._start_s if self._last_s is None else self._last_s + self._interval_s
        if raw_s is None or not known:
            self.repaired += 1
        elif self._last_s is not None and self._shifts_s:
            fitting = self._find_fitting_shift(raw_s, self._last_s)
            if fitting is None:
                self.repaired += 1
                self._shifts_s = [self._shifts_s[0], time_s - raw_s]
            else:
                time_s = raw_s + fitting
                self._shifts_s = [fitting]
        else:
            self._shifts_s = [time_s - raw_s]
        self._last_s = time_s
        return time_s

    def _find_fitting_shift(self, raw_s: float, last_s: float) -> float | None:
        longest_s = max(LONGEST_GAP_S, LONGEST_GAP_INTERVALS * self._interval_s)
        for shift_s in self._shifts_s:
            if SMALLEST_STEP_S <= raw_s + shift_s - last_s <= longest_s:
                return shift_s
        return None
