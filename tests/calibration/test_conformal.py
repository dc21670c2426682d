import numpy as np
import pytest

from neurosono.calibration.conformal import choose_sets, fit_thresholds
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions
from tests.calibration.simulation import simulate, table


def _sets(exams: Predictions, fitted_on: Predictions, alpha: float) -> np.ndarray:
    found = fit_thresholds(fitted_on, alpha)
    calibration = Calibration(
        alpha=alpha, conformal_threshold=found.pooled, class_thresholds=found.by_class
    )
    return choose_sets(calibration, exams.probabilities)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.15])
def test_sets_hold_the_truth_as_often_as_promised_in_every_class(alpha: float) -> None:
    """Over 100 pairs of cohorts; the first class is rare, and its probabilities are poor."""
    covered = np.zeros(3)
    seen = np.zeros(3)
    for seed in range(100):
        pair = [_skew(simulate(150, 1, 1.5, seed=2 * seed + each).by_exam()) for each in (0, 1)]
        sets = _sets(pair[1], pair[0], alpha)
        assert sets.any(axis=1).all()
        held = sets[np.arange(150), pair[1].targets]
        covered += np.bincount(pair[1].targets, weights=held, minlength=3)
        seen += np.bincount(pair[1].targets, minlength=3)
    assert (covered / seen >= 1 - alpha - 0.015).all()
    assert (covered / seen <= 1 - alpha + 0.05).all(), "and not by holding everything"


def _skew(exams: Predictions) -> Predictions:
    skewed = exams.probabilities * [0.2, 1, 1]
    return exams.with_probabilities(skewed / skewed.sum(1, keepdims=True))


def test_the_threshold_is_the_right_order_statistic() -> None:
    truth = np.linspace(0.95, 0.05, 19)  # scores 0.05, 0.10, ... 0.95
    exams = table(np.stack([truth, 1 - truth], 1), np.zeros(19), np.arange(19))
    found = fit_thresholds(exams, 0.1)
    assert found.pooled == pytest.approx(0.9), "the 18th of 19"
    assert fit_thresholds(exams, 0.05).pooled == pytest.approx(0.95), "19 are just enough for 5 %"


def test_a_class_with_too_few_exams_has_the_threshold_of_all() -> None:
    targets = np.repeat([0, 1, 2], [40, 20, 5])
    exams = simulate(65, 1, 1.5).by_exam()
    exams = table(exams.probabilities, targets, np.arange(65))
    found = fit_thresholds(exams, 0.1)  # 9 are needed
    assert found.own == (True, True, False)
    assert found.by_class[2] == found.pooled
    few = table(exams.probabilities[:15], np.repeat([0, 1, 2], 5), np.arange(15))
    assert fit_thresholds(few, 0.1).by_class == (), "no class has its own: one for all"


def test_a_class_as_likely_as_the_promise_is_always_kept() -> None:
    sure = table(np.tile([0.999, 0.001], (30, 1)), np.zeros(30), np.arange(30))
    found = fit_thresholds(sure, 0.1)
    assert found.pooled == pytest.approx(0.1)
    calibration = Calibration(conformal_threshold=found.pooled, class_thresholds=found.by_class)
    assert choose_sets(calibration, np.array([[0.93, 0.07]])).tolist() == [[True, False]]


def test_an_empty_set_holds_the_likeliest_class() -> None:
    calibration = Calibration(class_thresholds=(0.1, 0.1, 0.8))
    exams = np.array([[0.5, 0.4, 0.1], [0.2, 0.3, 0.5]])
    assert calibration.choose(exams).any(axis=1).tolist() == [False, True]
    assert choose_sets(calibration, exams).tolist() == [[True, False, False], [False, False, True]]


def test_too_few_exams_say_how_many_are_needed() -> None:
    with pytest.raises(InputError, match="need 9 held-out exams or more, found 8"):
        fit_thresholds(simulate(8, 1, 1.0).by_exam(), 0.1)
