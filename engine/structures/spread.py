"""Values of one measure over an exam: their median, and how far single frames lie apart."""

import math
from collections.abc import Iterator
from typing import Any, Self

STEP = 0.1
"""Of a millimetre or a pixel: values are counted in steps of it, so that an hour costs little."""
INNER = (0.1, 0.9)
"""The shares between which `low` and `high` lie: four of five frames are within them."""
NORMAL_QUARTILES = 1.349
"""The distance between a normal distribution's quartiles, in standard deviations."""


class Spread:
    """Counts values above 0."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.frames = 0

    def add(self, value: float) -> None:
        """Count one value."""
        place = round(value / STEP)
        self._counts[place] = self._counts.get(place, 0) + 1
        self.frames += 1

    def level(self, share: float) -> float:
        """Return the value that `share` of the frames, 0 to 1, do not exceed; NaN without any."""
        wanted = max(1, math.ceil(share * self.frames))
        seen = 0
        for place, count in self._ordered():
            seen += count
            if seen >= wanted:
                return round(place * STEP, 1)
        return math.nan

    @property
    def median(self) -> float:
        """The middle value, of an even number the mean of the two in the middle."""
        lower, upper = self.level(0.5), self.level(0.5 + 0.5 / max(1, self.frames))
        return round((lower + upper) / 2, 2)

    def summarise(self) -> dict[str, Any] | None:
        """Return `value` (the median), `low`, `high`, `least`, `most`, `spread`, `frames`.

        `spread` is the standard deviation of single frames, by their quartiles; None without any.
        """
        if not self.frames:
            return None
        low, high = (self.level(share) for share in INNER)
        quartiles = self.level(0.75) - self.level(0.25)
        return {
            "value": self.median,
            "low": low,
            "high": high,
            "least": self.level(0.0),
            "most": self.level(1.0),
            "spread": round(quartiles / NORMAL_QUARTILES, 2),
            "frames": self.frames,
        }

    def to_json(self) -> list[list[int]]:
        """Return every step that was counted, and how often."""
        return [[place, count] for place, count in self._ordered()]

    @classmethod
    def restore(cls, found: list[list[int]]) -> Self:
        """Count again what `to_json` gave."""
        spread = cls()
        spread._counts = {int(place): int(count) for place, count in found}
        spread.frames = sum(spread._counts.values())
        return spread

    def _ordered(self) -> Iterator[tuple[int, int]]:
        return iter(sorted(self._counts.items()))
