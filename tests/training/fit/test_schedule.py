import pytest

from neurosono.training.fit.schedule import Schedule


def test_the_papers_schedule_at_exact_steps() -> None:
    schedule = Schedule(highest=5e-4, steps=200, warmup_steps=10, final_ratio=1e-6)
    assert schedule.rate(0) == pytest.approx(5e-5)
    assert schedule.rate(4) == pytest.approx(2.5e-4)
    assert schedule.rate(9) == pytest.approx(5e-4)
    assert schedule.rate(104) == pytest.approx(5e-4 * (1 + 1e-6) / 2), "the cosine's middle"
    assert schedule.rate(199) == pytest.approx(5e-10)


def test_it_rises_then_falls() -> None:
    rates = [Schedule(1.0, 50, 5, 0.0).rate(step) for step in range(50)]
    assert rates[:5] == sorted(rates[:5])
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_without_a_warmup_it_starts_near_the_top() -> None:
    assert Schedule(1.0, 100, 0, 0.0).rate(0) == pytest.approx(1.0, abs=1e-3)
