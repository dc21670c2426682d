"""From samples to what is reported: percentiles, jitter, and ratios that say how sure they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}

RESAMPLES = 2000
"""Bootstrap resamples: the 95 % bounds then move by less than 1 % of the interval's width."""

MIN_PAIRS = 3
"""Fewer pairs than this give no interval: a bootstrap of two can only name those two."""


def summarise(samples: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95, p99, p99_9 and max, the mean and the count; None without samples.

    A percentile that would need more samples than there are (p99.9 of fewer than 1000) is still
    given, interpolated towards the maximum: `count` tells how much it is worth.
    """
    if not samples:
        return None
    values = np.asarray(samples, dtype=np.float64)
    found = {name: round(float(np.percentile(values, p)), 3) for name, p in PERCENTILES.items()}
    return found | {"mean": round(float(values.mean()), 3), "count": len(values)}


def summarise_stages(stages: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return `summarise` of each stage that has samples, in the order of `STAGES`."""
    order = [*STAGES, *sorted(set(stages) - set(STAGES))]
    found = {stage: summarise(stages.get(stage, ())) for stage in order}
    return {stage: summary for stage, summary in found.items() if summary is not None}


STAGES = (
    *("decode", "screen", "preprocess", "sample", "send", "wait"),
    *("network", "exam", "overlay", "display", "page"),
)
"""The way of a frame; `wait` is from when it was sent to when the engine begins with it."""


def measure_jitter(moments_ms: Sequence[float], period_ms: float) -> list[float]:
    """Return by how much the gaps between successive moments differ from `period_ms`."""
    gaps = np.diff(np.asarray(moments_ms, dtype=np.float64))
    return [float(each) for each in np.abs(gaps - period_ms)]


def cumulate(samples: Sequence[float], points: int = 200) -> list[tuple[float, float]]:
    """Return a distribution to draw: at most `points` of (value, share at or below it)."""
    if not samples:
        return []
    values = np.sort(np.asarray(samples, dtype=np.float64))
    ranks = np.unique(np.linspace(0, len(values) - 1, min(points, len(values))).round().astype(int))
    return [(round(float(values[r]), 3), round((r + 1) / len(values), 5)) for r in ranks]


@dataclass(frozen=True)
class Ratio:
    """A ratio from paired measurements: the median, and its 95 % interval where there is one."""

    median: float
    low: float | None
    high: float | None
    pairs: int

    def to_json(self) -> dict[str, float | int | None]:
        """Return the ratio as JSON."""
        return dict(self.__dict__)


def compare_pairs(new: Sequence[float], old: Sequence[float]) -> Ratio | None:
    """Return the median of `new / old`, pair by pair, with a percentile bootstrap interval.

    The two of a pair were measured one right after the other, so that what else the machine did
    weighs on both. None without pairs; no interval below `MIN_PAIRS`.
    """
    pairs = [(n, o) for n, o in zip(new, old, strict=True) if n > 0 and o > 0]
    if not pairs:
        return None
    ratios = np.array([n / o for n, o in pairs])
    low, high = _bootstrap(ratios, np.array([1.0])) if len(pairs) >= MIN_PAIRS else (None, None)
    return Ratio(round(float(np.median(ratios)), 4), low, high, len(pairs))


def compare_groups(new: Sequence[float], old: Sequence[float]) -> Ratio | None:
    """Return the ratio of the medians of two groups that were not measured in turns.

    `pairs` is then the size of the smaller group; no interval where that is below `MIN_PAIRS`.
    """
    if not new or not old or min(old) <= 0:
        return None
    fewest = min(len(new), len(old))
    low, high = (None, None)
    if fewest >= MIN_PAIRS:
        low, high = _bootstrap(np.asarray(new, float), np.asarray(old, float))
    return Ratio(round(float(np.median(new) / np.median(old)), 4), low, high, fewest)


def _bootstrap(
    new: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    old: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> tuple[float, float]:
    rng = np.random.default_rng(0)  # the same report from the same samples
    above = np.median(rng.choice(new, (RESAMPLES, len(new))), axis=1)
    below = np.median(rng.choice(old, (RESAMPLES, len(old))), axis=1)
    low, high = np.percentile(above / below, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)
