import numpy as np
import pytest

from neurosono.calibration.folds import deal
from neurosono.calibration.scaling import compare_methods, fit_scaling, fit_temperature, fit_vector
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import InputError
from tests.calibration.simulation import simulate, table


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    """Honest probabilities, made too sure (or too shy) by a known factor."""
    honest = simulate(exams=1500, frames=4, sharpness=1.5)
    spoilt = Calibration(1 / temperature).calibrate(honest.probabilities)
    assert fit_temperature(honest.with_probabilities(spoilt)) == pytest.approx(
        temperature, rel=0.06
    )


def test_each_exam_weighs_the_same() -> None:
    """A hundred copies of one exam's frames do not drown the others."""
    honest = simulate(exams=60, frames=2, sharpness=1.5)
    repeated = np.concatenate([np.arange(120), np.tile([0, 1], 100)])
    many = table(honest.probabilities[repeated], honest.targets[repeated], honest.exams[repeated])
    assert fit_temperature(many) == pytest.approx(fit_temperature(honest), rel=1e-6)
    one, other = fit_vector(many), fit_vector(honest)
    np.testing.assert_allclose(one.weights + one.biases, other.weights + other.biases, atol=1e-3)


def test_a_known_bias_is_undone_by_vector_scaling() -> None:
    honest = simulate(exams=3000, frames=1, sharpness=1.5)
    spoilt = np.exp(np.log(honest.probabilities) * [1, 2, 1] + [0.5, 0, -0.5])
    spoilt /= spoilt.sum(1, keepdims=True)
    found = fit_vector(honest.with_probabilities(spoilt))
    mended = found.calibrate(spoilt)
    assert np.abs(mended - honest.probabilities).mean() < 0.02
    assert np.abs(spoilt - honest.probabilities).mean() > 0.08
    assert sum(found.biases) == pytest.approx(0, abs=1e-9)


def test_vector_scaling_must_be_clearly_better_to_be_taken() -> None:
    honest = simulate(exams=400, frames=2, sharpness=1.5)
    contest = compare_methods(honest)
    assert contest is not None
    assert not contest.rich_wins, "there is nothing for it to mend"
    skewed = honest.probabilities * np.exp([1.5, 0, -1.5])
    skewed /= skewed.sum(1, keepdims=True)
    contest = compare_methods(honest.with_probabilities(skewed))
    assert contest is not None
    assert contest.rich_wins
    assert contest.rich < contest.simple


def test_another_method_is_refused() -> None:
    with pytest.raises(InputError, match="--method"):
        fit_scaling(simulate(20, 1, 1.0), "platt")


def test_folds_keep_patients_whole_and_classes_even() -> None:
    exams = np.arange(60)
    targets = np.repeat([0, 1, 2], [30, 20, 10])
    each = np.repeat(exams, 3)
    frames = table(np.full((180, 3), 1 / 3), targets[each], each)
    folds = deal(frames, seed=4)
    assert folds is not None
    of_exam = folds.reshape(60, 3)
    assert (of_exam == of_exam[:, :1]).all(), "one patient, one fold"
    for target, share in ((0, 3), (1, 2), (2, 1)):
        found = np.bincount(of_exam[targets == target, 0], minlength=10)
        assert (found == share).all()
    alone = table(np.full((4, 2), 0.5), np.array([0, 0, 0, 1]), np.arange(4))
    assert deal(alone) is None, "one patient of a class cannot be on both sides"
