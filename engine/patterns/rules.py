"""The logic over what was found: which labels exclude each other, and what makes a finding.

It is data of the bundle, beside the network that it was calibrated for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.patterns.names import FINDINGS, LABELS
from neurosono.engine.structures.boxes import Found, cover

CARD_KEY = "rules"
"""Of the manifest's card, where a bundle's rules stand."""
MOST_DWELL = 20


@dataclass(frozen=True)
class Group:
    """Labels that exclude each other on one `structure`: of those the higher score stays.

    Two boxes are of one structure where they share `cover` of the smaller; 0: wherever they are,
    as a brain has one of it. `over_exam` are those of the labels that exclude each other over a
    whole exam, too: a normal ventricle in one slice does not speak against a wide one in the next.
    """

    structure: str
    labels: tuple[str, ...]
    cover: float = 0.0
    over_exam: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = set(self.labels) <= set(LABELS) and set(self.over_exam) <= set(self.labels)
        if not known or len(self.labels) < 2 or not 0 <= self.cover < 1:
            raise InputError(
                f"an exclusion group has two labels or more of {', '.join(LABELS)}, those over an "
                f"exam among them, and a cover from 0 to 1; found {self}"
            )

    def excludes(self, one: Found, other: Found) -> bool:
        """Return whether two boxes cannot both be true."""
        if one.label == other.label or not {one.label, other.label} <= set(self.labels):
            return False
        return self.cover == 0 or cover(one.box, other.box) >= self.cover


@dataclass(frozen=True)
class Rules:
    """`groups` of contradictions, `thresholds` by finding, and the dwell of a finding.

    A finding is told once `dwell` looks, `apart_s` seconds apart or more, have shown it over its
    threshold. Raises `InputError` where they cannot be.
    """

    groups: tuple[Group, ...]
    thresholds: dict[str, float]
    dwell: int = 3
    apart_s: float = 0.75

    def __post_init__(self) -> None:
        each = self.thresholds.values()
        if set(self.thresholds) != set(FINDINGS) or not all(0 < value <= 1 for value in each):
            raise InputError(f"thresholds are over 0, one for each of {', '.join(FINDINGS)}")
        if not 1 <= self.dwell <= MOST_DWELL or not 0 <= self.apart_s <= 60:
            raise InputError(
                f"a dwell is 1 to {MOST_DWELL} looks, at most a minute apart; found {self.dwell} "
                f"and {self.apart_s}"
            )

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self:
        """Read the rules of a bundle's card; raise `BundleError` where there are none such."""
        try:
            return msgspec.convert(card[CARD_KEY], cls)
        except (KeyError, TypeError, msgspec.ValidationError, InputError) as error:
            raise BundleError(
                f"the bundle has no rules for its findings ({error!r}): make it anew with "
                "`neurosono train patterns ship`"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return what `from_card` reads."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def resolve(found: Sequence[Found], groups: Sequence[Group]) -> list[Found]:
    """Return, surest first, what is left where of contradicting labels the higher score stays.

    Lin et al. 2022: "lateral ventricle" at 0.597 yields to "tear ventricle" at 0.872. Of equal
    scores the one that stands first in `LABELS` stays.
    """
    kept: list[Found] = []
    for each in sorted(found, key=lambda one: (-one.score, LABELS.index(one.label))):
        if not any(group.excludes(each, surer) for surer in kept for group in groups):
            kept.append(each)
    return kept


def count_contradictions(found: Sequence[Found], groups: Sequence[Group]) -> int:
    """Return how many pairs of boxes cannot both be true."""
    pairs = ((a, b) for place, a in enumerate(found) for b in found[:place])
    return sum(any(group.excludes(a, b) for group in groups) for a, b in pairs)
