"""Values of one measure over an exam: their median, and how far single frames lie apart."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from neurosono.engine.contracts.arrays import Integers

STEP = 0.1
"""Of a millimetre or a pixel: values are counted in steps of it, so that an hour costs little."""
MOST_STEPS = 2_000_000
"""What lies beyond counts there: longer than any outline in a picture that is read."""
INNER = (0.1, 0.9)
"""The shares between which `low` and `high` lie: four of five frames are within them."""
NORMAL_QUARTILES = 1.349
"""The distance between a normal distribution's quartiles, in standard deviations."""


class Spread:
    """Counts values above 0, each by its step: summing up costs the same after an hour."""

    def __init__(self) -> None:
        self._least = 0
        self._counts: Integers = np.zeros(0, dtype=np.int64)
        self.frames = 0

    def add(self, value: float) -> None:
        """Count one value."""
        self._count(min(round(value / STEP), MOST_STEPS), 1)

    def level(self, share: float) -> float:
        """Return the value that `share` of the frames, 0 to 1, do not exceed; NaN without any."""
        return self._levels(share)[0]

    @property
    def median(self) -> float:
        """The middle value, of an even number the mean of the two in the middle."""
        return _mean(*self._levels(0.5, self._after_half()))

    def summarise(self) -> dict[str, Any] | None:
        """Return `value` (the median), `low`, `high`, `least`, `most`, `spread`, `frames`.

        `spread` is the standard deviation of single frames, by their quartiles; None without any.
        """
        if not self.frames:
            return None
        least, low, first, lower, upper, third, high, most = self._levels(
            0.0, INNER[0], 0.25, 0.5, self._after_half(), 0.75, INNER[1], 1.0
        )
        return {
            "value": _mean(lower, upper),
            "low": low,
            "high": high,
            "least": least,
            "most": most,
            "spread": round((third - first) / NORMAL_QUARTILES, 2),
            "frames": self.frames,
        }

    def to_json(self) -> list[list[int]]:
        """Return every step that was counted, and how often."""
        return [
            [self._least + int(step), int(self._counts[step])]
            for step in np.flatnonzero(self._counts)
        ]

    @classmethod
    def restore(cls, found: list[list[int]]) -> Self:
        """Count again what `to_json` gave; raises `ValueError` where it cannot have given it."""
        spread = cls()
        for place, count in found:
            if not 0 <= int(place) <= MOST_STEPS or int(count) < 1:
                raise ValueError(f"step {place!r} counted {count!r} times")
            spread._count(int(place), int(count))
        return spread

    def _count(self, place: int, times: int) -> None:
        if not len(self._counts):
            self._least = place
        before = max(0, self._least - place)
        after = max(0, place - self._least - len(self._counts) + 1)
        if before or after:
            self._counts = np.pad(self._counts, (before, after))
            self._least -= before
        self._counts[place - self._least] += times
        self.frames += times

    def _levels(self, *shares: float) -> list[float]:
        if not self.frames:
            return [math.nan] * len(shares)
        wanted = [max(1, math.ceil(share * self.frames)) for share in shares]
        places = self._least + np.searchsorted(np.cumsum(self._counts), wanted)
        return [round(int(place) * STEP, 1) for place in places]

    def _after_half(self) -> float:
        return 0.5 + 0.5 / max(1, self.frames)


def _mean(lower: float, upper: float) -> float:
    return round((lower + upper) / 2, 2)
