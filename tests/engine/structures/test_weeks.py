"""What was learnt at some weeks is not said of a fetus of others, or of one nobody knows."""

import math
from typing import Any

import pytest

from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.structures.biometry import estimate_age
from neurosono.engine.structures.weeks import Holds, Weeks, WeeksSeen, check_weeks, tell_weeks

SPAN = Weeks(18.0, 26.0)
HC_MM = {15: 105.0, 17.5: 143.0, 18.2: 151.0, 22: 193.0, 30: 270.0, 50: 500.0, 9: 40.0}


def test_the_heads_of_these_tests_are_of_the_weeks_that_they_are_called_by() -> None:
    for weeks, hc_mm in HC_MM.items():
        age = estimate_age(hc_mm)
        assert (age is None) == (weeks in (9, 50))
        assert age is None or age.weeks == pytest.approx(weeks, abs=0.6)


@pytest.mark.parametrize(
    ("told", "head", "holds"),
    [
        (None, None, Holds.UNKNOWN),
        (None, 22, Holds.WITHIN),
        (None, 18.2, Holds.WITHIN),
        (None, 17.5, Holds.OUTSIDE),
        (None, 30, Holds.OUTSIDE),
        (None, 9, Holds.OUTSIDE),  # too small for the formula: known all the same
        (None, 50, Holds.OUTSIDE),
        (20.0, None, Holds.WITHIN),
        (18.0, None, Holds.WITHIN),
        (17.9, None, Holds.OUTSIDE),
        (20.0, 17.5, Holds.WITHIN),  # within two deviations of the age by HC
        (20.0, 15, Holds.CONTRADICTORY),
        (20.0, 50, Holds.CONTRADICTORY),
        (30.0, 22, Holds.CONTRADICTORY),
        (30.0, 30, Holds.OUTSIDE),
        (12.0, 15, Holds.OUTSIDE),
    ],
)
def test_answers_hold_within_the_weeks_alone(
    told: float | None, head: float | None, holds: Holds
) -> None:
    hc_mm = None if head is None else HC_MM[head]
    assert SPAN.judge(told, hc_mm) is holds
    assert SPAN.describe(told, hc_mm)["holds"] == holds


def see(seen: WeeksSeen, told: float | None = None, hc_mm: float | None = None) -> dict[str, Any]:
    seen.add({"weeks": SPAN.describe(told, hc_mm)})
    found = seen.snapshot()
    assert found is not None
    return found


def test_an_exam_goes_by_the_median_of_its_heads() -> None:
    seen = WeeksSeen()
    assert see(seen)["holds"] == Holds.UNKNOWN
    assert not seen.holds
    for _ in range(4):
        see(seen, hc_mm=HC_MM[22])
    found = see(seen, hc_mm=HC_MM[15])  # one slice that was cut off the head's largest
    assert (found["hc_mm"], found["frames"], found["holds"]) == (193.0, 5, Holds.WITHIN)
    assert seen.holds
    assert found["by_hc"] == pytest.approx(21.5, abs=0.1)
    again = WeeksSeen.restore(seen.to_json())
    assert again.snapshot() == found
    assert see(seen, told=30.0)["holds"] == Holds.CONTRADICTORY
    assert see(seen)["told"] == 30.0, "a frame that is told nothing takes nothing back"


def test_a_bundle_that_is_bound_to_no_weeks_always_holds() -> None:
    seen = WeeksSeen()
    seen.add({})
    seen.add({"weeks": None})
    assert seen.holds
    assert seen.snapshot() is None
    assert tell_weeks(seen.snapshot(), "findings") is None
    assert WeeksSeen.restore(None).snapshot() is None
    assert Weeks.from_card({}) is None


def test_words_say_why_nothing_is_told() -> None:
    learnt = "learnt at 18 to 26 weeks"
    for told, head, words in (
        (None, None, f"no findings: {learnt}, this fetus's are not known: give --weeks or --mm-"),
        (None, 30, "no findings: HC 270 mm is 29.4 weeks; " + learnt),
        (None, 9, "no findings: HC 40 mm is under 14 weeks; " + learnt),
        (None, 50, "no findings: HC 500 mm is over 42 weeks; " + learnt),
        (30.0, None, "no findings: 30 weeks as told; " + learnt),
        (30.0, 30, "no findings: 30 weeks as told; " + learnt),
        (20.0, 15, "no findings: 20 weeks as told, but HC 105 mm is 15.0 weeks; " + learnt),
    ):
        found = see(WeeksSeen(), told, None if head is None else HC_MM[head])
        said = tell_weeks(found, "findings")
        assert said is not None
        assert said.startswith(words)
    assert tell_weeks(see(WeeksSeen(), 20.0), "findings") is None


@pytest.mark.parametrize("card", [[26, 18], [18], "18 to 26", [1, 26], None])
def test_weeks_of_a_card_that_are_none_are_refused(card: object) -> None:
    assert Weeks.from_card({"weeks": [18, 26]}) == SPAN
    with pytest.raises(BundleError, match="weeks are none"):
        Weeks.from_card({"weeks": card})


def test_weeks_that_no_fetus_is_of_are_refused() -> None:
    assert check_weeks(None) is None
    assert check_weeks(21.5) == 21.5
    for bad in (215.0, 0.0, math.nan):
        with pytest.raises(InputError, match="weeks must be 8 to 44"):
            check_weeks(bad)
