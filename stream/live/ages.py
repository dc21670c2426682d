"""How old things were, however many: a histogram of one size, so that an hour costs no memory."""

import numpy as np

STEP_MS = 0.1
"""The resolution of a percentile."""

LONGEST_MS = 5000.0
"""Whatever is older counts as this old in the percentiles; the maximum is always exact."""

LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Ages:
    """Counts ages in milliseconds."""

    def __init__(self) -> None:
        self._bins = np.zeros(round(LONGEST_MS / STEP_MS) + 1, dtype=np.int64)
        self.count = 0
        self._longest_ms = 0.0

    def add(self, age_ms: float) -> None:
        """Count one age; a negative one (two clocks that disagree) counts as none."""
        place = min(len(self._bins) - 1, max(0, int(age_ms / STEP_MS)))
        self._bins[place] += 1
        self.count += 1
        self._longest_ms = max(self._longest_ms, age_ms)

    def merge(self, other: "Ages") -> None:
        """Count all that `other` counted too."""
        self._bins += other._bins
        self.count += other.count
        self._longest_ms = max(self._longest_ms, other._longest_ms)

    def summarise(self) -> dict[str, float] | None:
        """Return p50, p95, p99 and max, milliseconds, and the count; None without any.

        A percentile is the upper edge of its step: never less than the truth.
        """
        if not self.count:
            return None
        below = np.cumsum(self._bins)
        found: dict[str, float] = {}
        for name, level in LEVELS.items():
            place = int(np.searchsorted(below, np.ceil(level * self.count)))
            found[name] = round(min((place + 1) * STEP_MS, self._longest_ms), 1)
        return found | {"max": round(self._longest_ms, 1), "count": self.count}
