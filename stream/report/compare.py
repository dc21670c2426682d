"""Two arms of readings compared: how often right, how soon, and whom the AI moved where to.

Pairs are of one reader and one case. McNemar's test is the exact one. Intervals of shares are
Wilson's; of differences they are from cases drawn with replacement, each with all its readings, as
readings of one case are not independent.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurosono.engine.exam.interval import bound_share
from neurosono.stream.report.trial import ARMS, CONCURRENT, SECOND, CaseReading, Said

RESAMPLES = 2000
FEWEST_CASES = 5
"""Of fewer no interval of a difference is given."""

Pair = tuple[str, bool, bool]
"""A case, and whether the first and the second of two answers are right."""
Answer = Callable[[CaseReading], Said | None]


def compare(readings: Sequence[CaseReading]) -> dict[str, Any]:
    """Return every figure of a trial; what cannot be known is None."""
    by_arm = {arm: [each for each in readings if each.arm == arm] for arm in ARMS}
    second, concurrent = by_arm[SECOND], by_arm[CONCURRENT]
    return {
        "readings": len(readings),
        "cases": len({each.case for each in readings}),
        "readers": len({each.reader for each in readings}),
        "arms": {arm: describe_arm(found) for arm, found in by_arm.items() if found},
        "by_reader": {
            name: {
                arm: describe_arm([each for each in found if each.reader == name])
                for arm, found in by_arm.items()
                if any(each.reader == name for each in found)
            }
            for name in sorted({each.reader for each in readings})
        },
        "second_read": describe_change(second) if second else None,
        "arms_compared": {
            "alone_and_concurrent": compare_arms(second, concurrent, _say_alone, _say_final),
            "second_read_and_concurrent": compare_arms(second, concurrent, _say_final, _say_final),
        },
    }


def describe_arm(found: Sequence[CaseReading]) -> dict[str, Any]:
    """Return how often an arm was right, how long an answer took, how many keys it took.

    Who gave no answer was not right. `seconds` is to the last answer; median and quartiles.
    """
    answered = [each for each in found if each.final is not None]
    judged = [each for each in found if each.ai is not None]
    return {
        "readings": len(found),
        "answered": len(answered),
        "right": _share(sum(map(_right_final, found)), len(found)),
        "right_alone": _share(sum(map(_right_alone, found)), len(found))
        if any(each.alone for each in found)
        else None,
        "ai_right": _share(sum(each.ai == each.truth for each in judged), len(judged)),
        "seconds": _quartiles([each.final.at_s for each in answered if each.final]),
        "seconds_alone": _quartiles([each.alone.at_s for each in found if each.alone]),
        "presses": _quartiles([float(each.presses) for each in found]),
    }


def describe_change(second: Sequence[CaseReading]) -> dict[str, Any]:
    """Return what seeing the AI changed in a second read, and in which direction."""
    both = [each for each in second if each.alone is not None]
    changed = [each for each in both if each.seen and each.alone and each.seen != each.alone]
    moved = [each for each in changed if each.seen and each.alone and _differ(each)]
    pairs = [(each.case, _right_alone(each), _right_final(each)) for each in both]
    return {
        "readings": len(both),
        "answered_again": len(changed),
        "changed": len(moved),
        "to_right": sum(not a and b for _, a, b in pairs),
        "to_wrong": sum(a and not b for _, a, b in pairs),
        "between_wrong": sum(not _right_alone(e) and not _right_final(e) for e in moved),
        "towards_the_ai": sum(e.seen is not None and e.seen.label == e.ai for e in moved),
        "away_from_the_ai": sum(e.alone is not None and e.alone.label == e.ai for e in moved),
        **compare_pairs(pairs),
    }


def _differ(each: CaseReading) -> bool:
    return each.seen is not None and each.alone is not None and each.seen.label != each.alone.label


def compare_arms(
    first: Sequence[CaseReading], other: Sequence[CaseReading], one: Answer, two: Answer
) -> dict[str, Any]:
    """Return the comparison of readings of the same case by the same reader in two arms.

    `seconds` is how much later the second's answer came, of pairs in which both answered.
    """
    of_other = {(each.reader, each.case): each for each in other}
    both = [
        (each, of_other[each.reader, each.case])
        for each in first
        if (each.reader, each.case) in of_other
    ]
    pairs = [(a.case, _is_right(a, one(a)), _is_right(b, two(b))) for a, b in both]
    said = [(a.case, one(a), two(b)) for a, b in both]
    later = [(case, b.at_s - a.at_s) for case, a, b in said if a is not None and b is not None]
    return {**compare_pairs(pairs), "seconds": _average(later), "timed": len(later)}


def compare_pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return pairs, those of which one alone is right, McNemar's exact p, and the difference.

    `difference` is the second's share of right answers less the first's, with its 95 % interval.
    """
    first = sum(a and not b for _, a, b in pairs)
    second = sum(b and not a for _, a, b in pairs)
    return {
        "pairs": len(pairs),
        "only_first_right": first,
        "only_second_right": second,
        "p": mcnemar(first, second) if pairs else None,
        "difference": _difference(pairs),
    }


def mcnemar(first: int, second: int) -> float:
    """Return the two-sided exact p of pairs that differ: a fair coin's (McNemar 1947)."""
    differ = first + second
    tail = sum(math.comb(differ, k) for k in range(min(first, second) + 1))
    return float(min(1.0, 2 * tail / 2**differ))


def _difference(pairs: Sequence[Pair]) -> dict[str, float | None] | None:
    return _average([(case, float(b) - float(a)) for case, a, b in pairs])


def _average(gains: Sequence[tuple[str, float]]) -> dict[str, float | None] | None:
    """Return the mean of what each pair gains, by its case, with its 95 % interval."""
    if not gains:
        return None
    cases = sorted({case for case, _ in gains})
    gain = np.zeros(len(cases))
    many = np.zeros(len(cases))
    for case, each in gains:
        place = cases.index(case)
        gain[place] += each
        many[place] += 1
    value = float(gain.sum() / many.sum())
    if len(cases) < FEWEST_CASES:
        return {"value": value, "low": None, "high": None}
    share = np.full(len(cases), 1 / len(cases))
    drawn = np.random.default_rng(0).multinomial(len(cases), share, RESAMPLES)
    low, high = np.quantile((drawn @ gain) / (drawn @ many), [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def _say_final(each: CaseReading) -> Said | None:
    return each.final


def _say_alone(each: CaseReading) -> Said | None:
    return each.alone


def _is_right(each: CaseReading, said: Said | None) -> bool:
    return said is not None and said.label == each.truth


def _right_final(each: CaseReading) -> bool:
    return _is_right(each, each.final)


def _right_alone(each: CaseReading) -> bool:
    return _is_right(each, each.alone)


def _share(right: int, count: int) -> dict[str, Any]:
    if not count:
        return {"value": None, "low": None, "high": None, "right": 0, "count": 0}
    value = right / count
    low, high = bound_share(np.array(value), count)
    interval = {"low": float(low), "high": float(high)}
    return {"value": value, **interval, "right": right, "count": count}


def _quartiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(middle), "low": float(low), "high": float(high)}
