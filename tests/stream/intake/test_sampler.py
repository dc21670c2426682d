"""Which pictures are sampled."""

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.intake.sampler import Sampler


def test_one_in_eighty_is_the_papers() -> None:
    sampler = Sampler(every=80)
    taken = [index for index in range(400) if sampler.take(0, index / 25)]
    assert taken == [0, 80, 160, 240, 320]


def test_each_clip_begins_anew_so_every_still_counts() -> None:
    sampler = Sampler(every=80)
    assert all(sampler.take(clip, clip * 0.5) for clip in range(7))


@pytest.mark.parametrize(("rate_hz", "expected"), [(5, 50), (25, 250), (7, 70), (100, 250)])
def test_a_rate_is_kept_over_the_whole_clip(rate_hz: float, expected: int) -> None:
    sampler = Sampler(every=None, rate_hz=rate_hz)
    taken = sum(sampler.take(0, index / 25) for index in range(250))
    assert abs(taken - expected) <= 1


def test_a_gap_in_time_does_not_cause_a_burst() -> None:
    sampler = Sampler(every=None, rate_hz=10)
    times = [0.0, 0.04, 5.0, 5.04, 5.08, 5.12]
    assert [sampler.take(0, time) for time in times] == [True, False, True, False, False, True]


@pytest.mark.parametrize(
    ("every", "rate_hz"), [(0, None), (-1, None), (None, 0.0), (None, -2.0), (1, 5.0), (None, None)]
)
def test_refuses_what_samples_nothing(every: int | None, rate_hz: float | None) -> None:
    with pytest.raises(InputError):
        Sampler(every, rate_hz)
