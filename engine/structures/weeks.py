"""For which gestational weeks a bundle's answers hold, and whether a head is of those weeks.

What was learnt in heads of some weeks is wrong in others: an atrium of 7 mm is wide in a small head
and narrow in a large one. A picture alone does not tell weeks. The user may, and so does the head's
circumference where the scale is known; without either a bundle that is bound to weeks abstains.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.structures.biometry import estimate_age
from neurosono.engine.structures.spread import Spread

CARD_KEY = "weeks"
"""Of a manifest's card: `[from, to]`; a bundle without it is bound to none."""
TOLD_RANGE = (8.0, 44.0)


class Holds(StrEnum):
    """Whether what a bundle would say holds for a head."""

    WITHIN = "within"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"
    """Nobody told the weeks, and the head was not measured in millimetres."""
    CONTRADICTORY = "contradictory"
    """The head speaks against what was told: one of both is outside, beyond two deviations."""


def check_weeks(weeks: float | None) -> float | None:
    """Return the weeks that the user told; raise `InputError` where no fetus is of them."""
    low, high = TOLD_RANGE
    if weeks is not None and not (math.isfinite(weeks) and low <= weeks <= high):
        raise InputError(f"gestational weeks must be {low:g} to {high:g}, found {weeks}")
    return weeks


@dataclass(frozen=True)
class Weeks:
    """The weeks for which answers hold. Raises `InputError` where they are no span."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not TOLD_RANGE[0] <= self.low < self.high <= TOLD_RANGE[1]:
            raise InputError(f"weeks for which answers hold are from, to; found {self}")

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self | None:
        """Read a bundle's; None where it is bound to none. Raises `BundleError`."""
        if CARD_KEY not in card:
            return None
        try:
            low, high = card[CARD_KEY]
            return cls(float(low), float(high))
        except (TypeError, ValueError, InputError) as error:
            raise BundleError(f"the bundle's weeks are none: {card[CARD_KEY]!r}") from error

    def judge(self, told: float | None, hc_mm: float | None) -> Holds:
        """Return whether answers hold for a head, by what was told of it and by its size.

        What was told counts, unless the head's size, with two standard deviations of the age by HC,
        puts it on the other side.
        """
        by_head = None if hc_mm is None else weeks_by_head(hc_mm)
        if told is None:
            if by_head is None:
                return Holds.UNKNOWN
            return Holds.WITHIN if self._has(by_head[0]) else Holds.OUTSIDE
        if by_head is not None:
            weeks, spread = by_head
            wholly_in = self._has(weeks - spread) and self._has(weeks + spread)
            wholly_out = weeks + spread < self.low or weeks - spread > self.high
            if wholly_out if self._has(told) else wholly_in:
                return Holds.CONTRADICTORY
        return Holds.WITHIN if self._has(told) else Holds.OUTSIDE

    def _has(self, weeks: float) -> bool:
        return self.low <= weeks <= self.high

    @property
    def middle(self) -> float:
        """The week in their middle: what is told of pictures that are known to be of them."""
        return (self.low + self.high) / 2

    def describe(self, told: float | None, hc_mm: float | None) -> dict[str, Any]:
        """Return what is said of a frame: `from`, `to`, `told`, `hc_mm` and `holds`."""
        hc_mm = None if hc_mm is None else round(hc_mm, 1)
        holds = str(self.judge(told, hc_mm))
        return {"from": self.low, "to": self.high, "told": told, "hc_mm": hc_mm, "holds": holds}


def weeks_by_head(hc_mm: float) -> tuple[float, float]:
    """Return the age by HC and two standard deviations of it, weeks.

    Beyond the formula's range, some 14 to 42 weeks, it is known on which side: none and all.
    """
    age = estimate_age(hc_mm)
    if age is not None:
        return age.weeks, age.two_sd_weeks
    return (0.0, 0.0) if hc_mm < _MIDDLE_MM else (math.inf, 0.0)


_MIDDLE_MM = 200.0
"""Where there is no age by HC, the head is far smaller than this, or far larger."""


class WeeksSeen:
    """What an exam's frames tell of its weeks: the last that was told, and the median HC."""

    def __init__(self) -> None:
        self._span: Weeks | None = None
        self._told: float | None = None
        self._hc = Spread()

    def add(self, said: Mapping[str, Any]) -> None:
        """Take a frame's reading; what a bundle that is bound to no weeks says tells nothing."""
        found = said.get(CARD_KEY)
        if found is None:
            return
        self._span = Weeks(float(found["from"]), float(found["to"]))
        self._told = self._told if found["told"] is None else float(found["told"])
        if found["hc_mm"] is not None:
            self._hc.add(float(found["hc_mm"]))

    @property
    def _hc_mm(self) -> float | None:
        return self._hc.median if self._hc.frames else None

    @property
    def holds(self) -> bool:
        """Whether answers hold; so they do where nothing binds them to weeks."""
        return self._span is None or self._span.judge(self._told, self._hc_mm) is Holds.WITHIN

    def snapshot(self) -> dict[str, Any] | None:
        """Return `from`, `to`, `told`, `hc_mm`, `by_hc` (weeks), `frames` and `holds`.

        None where answers are bound to no weeks.
        """
        if self._span is None:
            return None
        hc_mm = self._hc_mm
        age = None if hc_mm is None else estimate_age(hc_mm)
        return {
            "from": self._span.low,
            "to": self._span.high,
            "told": self._told,
            "hc_mm": hc_mm,
            "by_hc": None if age is None else round(age.weeks, 1),
            "frames": self._hc.frames,
            "holds": str(self._span.judge(self._told, hc_mm)),
        }

    def to_json(self) -> list[Any]:
        """Return all that `restore` needs, exactly."""
        span = None if self._span is None else [self._span.low, self._span.high]
        return [span, self._told, self._hc.to_json()]

    @classmethod
    def restore(cls, found: list[Any] | None) -> Self:
        """Go on from what `to_json` gave; None, of a record before weeks, is nothing."""
        seen = cls()
        if found is not None:
            span, seen._told, counts = found
            seen._span = None if span is None else Weeks(*span)
            seen._hc = Spread.restore(counts)
        return seen


def tell_weeks(weeks: Mapping[str, Any] | None, what: str) -> str | None:
    """Return why `what` is not told of an exam; None where it is told."""
    if weeks is None or weeks["holds"] == Holds.WITHIN:
        return None
    learnt = f"learnt at {weeks['from']:g} to {weeks['to']:g} weeks"
    if weeks["holds"] == Holds.UNKNOWN:
        return f"no {what}: {learnt}, this fetus's are not known: give --weeks or --mm-per-px"
    told = [] if weeks["told"] is None else [f"{weeks['told']:g} weeks as told"]
    if weeks["hc_mm"] is not None and (not told or weeks["holds"] == Holds.CONTRADICTORY):
        told.append(_tell_head(weeks))
    return f"no {what}: {', but '.join(told)}; {learnt}"


def _tell_head(weeks: Mapping[str, Any]) -> str:
    hc_mm = weeks["hc_mm"]
    by_hc = weeks["by_hc"]
    if by_hc is None:
        return f"HC {hc_mm:.0f} mm is {'under 14' if hc_mm < _MIDDLE_MM else 'over 42'} weeks"
    return f"HC {hc_mm:.0f} mm is {by_hc:.1f} weeks"
