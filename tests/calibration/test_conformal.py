import numpy as np
import pytest

from calibration.conformal import fit_threshold, measure_coverage
from calibration.fit import cross_check, fit
from engine.contracts.errors import InputError
from tests.calibration.simulation import simulate, table


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_sets_hold_the_truth_as_often_as_promised(alpha: float) -> None:
    """Over 200 pairs of cohorts, fresh exams are covered in 1 - alpha to 1 - alpha + 1/(n + 1)."""
    covered = []
    for seed in range(200):
        exams = simulate(60, 1, 1.5, seed=2 * seed).by_exam()
        fresh = simulate(60, 1, 1.5, seed=2 * seed + 1).by_exam()
        covered.append(measure_coverage(fresh, fit_threshold(exams, alpha)).covered)
    assert 1 - alpha - 0.01 <= np.mean(covered) <= 1 - alpha + 1 / 61 + 0.01


def test_the_threshold_is_the_right_order_statistic() -> None:
    truth = np.linspace(0.95, 0.05, 19)  # scores 0.05, 0.10, ... 0.95
    exams = table(np.stack([truth, 1 - truth], 1), np.zeros(19), np.arange(19))
    assert fit_threshold(exams, 0.1) == pytest.approx(0.9), "the 18th of 19"


def test_too_few_exams_say_how_many_are_needed() -> None:
    with pytest.raises(InputError, match="need 9 held-out exams or more, found 8"):
        fit_threshold(simulate(8, 1, 1.0).by_exam(), 0.1)


def test_the_fit_reports_what_it_does_on_other_patients() -> None:
    frames = simulate(200, 3, 2.0)
    fitted = fit(frames, 0.1)
    assert fitted.calibration.exams == 200
    checked = fitted.report["cross_checked"]
    assert checked["covered"] == pytest.approx(0.9, abs=0.04)
    assert checked["exams"] == 100
    assert 1 <= checked["mean_size"] <= 3
    assert fitted.report["before"]["frames"]["count"] == 600
    assert cross_check(simulate(12, 1, 1.0), 0.1) is None, "half of 12 exams is too few"


def test_alpha_must_be_a_share() -> None:
    with pytest.raises(InputError, match="--alpha"):
        fit(simulate(20, 1, 1.0), 1.5)
