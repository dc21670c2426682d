"""The simulation against what queueing theory knows, and against what cannot be otherwise."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.queueing import (
    Plan,
    count_active,
    count_scanners,
    draw_constant,
    draw_measured,
    simulate,
)

MS = 10.0
"""A service."""


def open_queue(load: float, workers: int = 1, seconds: float = 2000.0, seed: int = 1) -> Plan:
    """Return arrivals by a Poisson process that all are sent and wait as long as need be."""
    rate_hz = load * workers * 1e3 / MS
    return Plan(
        *(1, workers), rate_hz=rate_hz, jitter=None, network_ms=0.0, newest_wins=False,
        answer_ms=math.inf, seconds=seconds, seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_constant_service_waits_as_m_d_1(load: float) -> None:
    waits = simulate(open_queue(load), draw_constant(MS)).waits_ms
    assert waits.mean() == pytest.approx(MS * load / (2 * (1 - load)), rel=0.05)
    assert (waits == 0).mean() == pytest.approx(1 - load, abs=0.02)


def test_an_exponential_service_waits_twice_as_long_as_m_m_1() -> None:
    waits = simulate(open_queue(0.6), lambda rng: float(rng.exponential(MS))).waits_ms
    assert waits.mean() == pytest.approx(MS * 0.6 / (1 - 0.6), rel=0.06)


def test_two_workers_wait_as_erlang_c_says() -> None:
    load, servers = 0.7, 2
    offered = load * servers
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    full = offered**servers / math.factorial(servers) / (1 - load)
    waits_at_all = full / (sum(terms) + full)
    plan = open_queue(load, servers)
    waits = simulate(plan, lambda rng: float(rng.exponential(MS))).waits_ms
    assert (waits > 0).mean() == pytest.approx(waits_at_all, abs=0.02)
    assert waits.mean() == pytest.approx(waits_at_all * MS / (servers * (1 - load)), rel=0.08)


def test_littles_law_holds() -> None:
    outcome = simulate(open_queue(0.8), draw_constant(MS))
    arrivals_per_ms = outcome.sampled / 2000e3
    assert outcome.busy == pytest.approx(0.8, abs=0.01)
    in_system = arrivals_per_ms * outcome.ages_ms.mean()
    assert in_system == pytest.approx(0.8 + 0.8**2 / (2 * 0.2), rel=0.05)


def test_a_queue_of_none_refuses_as_erlang_b_says() -> None:
    plan = replace(open_queue(0.8), queue=0)
    outcome = simulate(plan, draw_constant(MS))
    assert outcome.failed / outcome.sampled == pytest.approx(0.8 / 1.8, abs=0.01)


def test_scanners_beyond_capacity_share_it_and_see_no_old_frame() -> None:
    plan = Plan(8, workers=1, rate_hz=50.0, jitter=0.0, network_ms=0.0, seconds=60.0)
    outcome = simulate(plan, draw_constant(MS))  # 400 frames a second for 100
    assert outcome.judged == pytest.approx(60 * 100, rel=0.01)
    assert outcome.fairness > 0.999
    # behind seven others, and with a frame at most one interval old when it is its turn
    assert outcome.ages_ms.max() <= 8 * MS + 20.0 + 1e-6
    assert outcome.failed == 0


def test_an_idle_server_adds_only_the_way() -> None:
    plan = Plan(1, rate_hz=10.0, before_ms=3.0, network_ms=0.5, seconds=10.0)
    outcome = simulate(plan, draw_constant(MS))
    np.testing.assert_allclose(outcome.ages_ms, 3.0 + 0.5 + MS + 0.5)
    assert outcome.judged_share == 1.0


def test_what_is_late_counts_as_failed() -> None:
    plan = Plan(1, rate_hz=1.0, answer_ms=400.0, seconds=10.0)
    outcome = simulate(plan, draw_constant(401.0))
    assert (outcome.judged, outcome.failed) == (0, outcome.sampled)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 3), st.floats(1, 60), st.floats(0.1, 200),
    st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 2**31),
)  # fmt: skip
def test_every_frame_is_accounted_for(
    scanners: int, workers: int, rate_hz: float, service_ms: float, queue: int | None, seed: int
) -> None:
    plan = Plan(scanners, workers, rate_hz, queue=queue, patience_ms=300.0, seconds=3.0, seed=seed)
    outcome = simulate(plan, draw_constant(service_ms))
    assert outcome.sampled == outcome.judged + outcome.superseded + outcome.failed
    assert 1 / scanners <= outcome.fairness <= 1.0 + 1e-9
    again = simulate(plan, draw_constant(service_ms))
    np.testing.assert_array_equal(outcome.ages_ms, again.ages_ms)


def test_a_measured_service_is_never_faster_than_it_was() -> None:
    summary = {"p50": 9.0, "p95": 12.0, "p99": 20.0, "max": 70.0}
    draw = draw_measured(summary)
    rng = np.random.default_rng(0)
    drawn = np.asarray([draw(rng) for _ in range(20_000)])
    for name, share in (("p95", 0.95), ("p99", 0.99)):
        assert (drawn <= summary[name]).mean() == pytest.approx(share, abs=0.003)
    assert drawn.min() == summary["p50"]
    assert drawn.max() <= 70.0
    with pytest.raises(InputError, match="p95"):
        draw_measured({"p50": 1.0})
    with pytest.raises(InputError, match="must rise"):
        draw_measured({"p50": 9.0, "p95": 8.0, "p99": 20.0, "max": 70.0})


def test_capacity_is_what_the_service_leaves_room_for() -> None:
    plan = Plan(1, rate_hz=10.0, jitter=0.05, network_ms=0.0, seconds=30.0)
    count, outcome = count_scanners(plan, draw_constant(MS), p99_ms=100.0)
    assert 9 <= count <= 10, "ten scanners of ten frames fill a server of a hundred"
    assert outcome is not None
    assert outcome.quantile_ms(0.99) <= 100.0
    assert count_scanners(plan, draw_constant(450.0))[0] == 0


def test_how_many_scan_at_once_is_the_binomials_tail() -> None:
    found = count_active(5000, 0.4)
    draws = np.random.default_rng(2).binomial(5000, 0.4, 200_000)
    assert (draws > found).mean() <= 0.001
    assert (draws > found - 5).mean() > 0.001
    assert count_active(10, 1.0) == 10
    with pytest.raises(InputError, match="0 to 1"):
        count_active(10, 1.5)
