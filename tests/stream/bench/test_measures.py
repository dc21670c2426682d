"""The arithmetic of the bench."""

import numpy as np
import pytest

from neurosono.stream.bench.measures import (
    Ratio,
    compare_groups,
    compare_pairs,
    cumulate,
    measure_jitter,
    summarise,
    summarise_stages,
)


def test_percentiles_are_those_of_the_samples() -> None:
    found = summarise([float(each) for each in range(1001)])
    assert found is not None
    assert (found["p50"], found["p95"], found["p99"]) == (500.0, 950.0, 990.0)
    assert (found["p99_9"], found["max"], found["count"]) == (999.0, 1000.0, 1001)


def test_nothing_measured_is_none_and_not_zero() -> None:
    assert summarise([]) is None
    assert summarise_stages({"decode": [], "network": [2.0]}).keys() == {"network"}


def test_stages_come_in_the_way_of_a_frame() -> None:
    stages = {"overlay": [1.0], "zeta": [1.0], "decode": [1.0], "network": [1.0]}
    assert list(summarise_stages(stages)) == ["decode", "network", "overlay", "zeta"]


def test_jitter_is_how_far_gaps_are_from_the_period() -> None:
    assert measure_jitter([0.0, 10.0, 21.0, 29.0], 10.0) == [0.0, 1.0, 2.0]
    assert measure_jitter([5.0], 10.0) == []


def test_a_distribution_ends_at_one() -> None:
    points = cumulate([3.0, 1.0, 2.0])
    assert points == [(1.0, pytest.approx(1 / 3, abs=1e-4)), (2.0, 0.66667), (3.0, 1.0)]
    assert len(cumulate(list(np.arange(5000.0)))) == 200
    assert cumulate([]) == []


def test_paired_ratios_cancel_what_both_suffer() -> None:
    slow, fast = [100.0, 50.0, 200.0, 80.0], [110.0, 55.0, 220.0, 88.0]
    ratio = compare_pairs(fast, slow)
    assert ratio == Ratio(1.1, 1.1, 1.1, 4)
    apart = compare_groups(fast, slow)
    assert apart is not None
    assert apart.low is not None
    assert apart.high is not None
    assert apart.low < 1.0 < apart.high, "unpaired, the same numbers show nothing"


def test_two_pairs_give_no_interval_and_none_no_ratio() -> None:
    assert compare_pairs([2.0, 2.0], [1.0, 1.0]) == Ratio(2.0, None, None, 2)
    assert compare_pairs([], []) is None
    assert compare_pairs([0.0], [1.0]) is None
    assert compare_groups([1.0], []) is None
