"""When to try again after a live source was lost: soon at first, then ever more rarely."""

from dataclasses import dataclass, field

FIRST_DELAY_S = 0.25
"""Decision: a cable that was touched is back by then, and nobody has looked up yet."""

LONGEST_DELAY_S = 5.0
"""Decision: whoever plugs the scanner in again waits no longer than this for the picture."""

SETTLED_S = 10.0
"""A connection that gave pictures for so long was good: after it, trying begins anew. One that
dies sooner may be dying because we come back too often."""


@dataclass
class Backoff:
    """Delays that double from `first_s` up to `longest_s`. It is told the time, in seconds."""

    first_s: float = FIRST_DELAY_S
    longest_s: float = LONGEST_DELAY_S
    settled_s: float = SETTLED_S
    attempt: int = field(default=0, init=False)
    _good_since_s: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s:
            raise ValueError(
                f"delays must rise from over 0, found {self.first_s} s to {self.longest_s} s"
            )

    def succeed(self, now_s: float) -> None:
        """Note that a picture came."""
        if self._good_since_s is None:
            self._good_since_s = now_s

    def fail(self, now_s: float) -> float:
        """Note that the source was lost, or not reached; returns how long to wait, in seconds."""
        good_since_s, self._good_since_s = self._good_since_s, None
        if good_since_s is not None and now_s - good_since_s >= self.settled_s:
            self.attempt = 0
        # Past the cap the exponent would only grow until it overflows.
        delay_s = self.first_s * 2.0 ** min(self.attempt, 32)
        self.attempt += 1
        return min(delay_s, self.longest_s)
