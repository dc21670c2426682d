"""How often something may be asked for: a burst at once, then so many a second."""

from dataclasses import dataclass

NS = 1_000_000_000


@dataclass
class Allowance:
    """A bucket of `burst` that fills again by `rate_hz`. Pure: the clock is handed in."""

    rate_hz: float
    burst: float
    _left: float | None = None
    _at_ns: int = 0

    def take(self, now_ns: int) -> bool:
        """Take one; returns whether there was one left."""
        left = self.burst if self._left is None else self._left
        gained = max(0, now_ns - self._at_ns) / NS * self.rate_hz
        left, self._at_ns = min(self.burst, left + gained), now_ns
        self._left = left - 1.0 if left >= 1.0 else left
        return left >= 1.0
