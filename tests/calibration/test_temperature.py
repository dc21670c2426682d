import numpy as np
import pytest

from calibration.reliability import describe, measure_brier, measure_ece
from calibration.temperature import fit_temperature
from engine.contracts.calibration import Calibration
from tests.calibration.simulation import simulate, table


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    """Honest probabilities, made too sure (or too shy) by a known factor."""
    honest = simulate(exams=1500, frames=4, sharpness=1.5)
    spoilt = Calibration(1 / temperature).calibrate(honest.probabilities)
    assert fit_temperature(honest.with_probabilities(spoilt)) == pytest.approx(
        temperature, rel=0.06
    )


def test_it_mends_the_calibration_error() -> None:
    honest = simulate(exams=4000, frames=1, sharpness=1.5)
    before = honest.with_probabilities(Calibration(0.4).calibrate(honest.probabilities))
    fitted = Calibration(fit_temperature(before))
    after = before.with_probabilities(fitted.calibrate(before.probabilities))
    assert measure_ece(before) > 0.1
    assert measure_ece(after) < 0.03
    assert measure_brier(after) < measure_brier(before)
    assert np.array_equal(after.probabilities.argmax(1), before.probabilities.argmax(1))


def test_each_exam_weighs_the_same() -> None:
    """A hundred copies of one exam's frames do not drown the others."""
    honest = simulate(exams=60, frames=2, sharpness=1.5)
    repeated = np.concatenate([np.arange(120), np.tile([0, 1], 100)])
    many = table(honest.probabilities[repeated], honest.targets[repeated], honest.exams[repeated])
    assert fit_temperature(many) == pytest.approx(fit_temperature(honest), rel=1e-6)


def test_errors_of_probabilities_that_are_known() -> None:
    probabilities = np.array([[0.8, 0.2]] * 10)
    sure = table(probabilities, np.array([0] * 8 + [1] * 2), np.arange(10))
    assert measure_ece(sure) == pytest.approx(0, abs=1e-12)
    wrong = table(probabilities, np.array([1] * 10), np.arange(10))
    assert measure_ece(wrong) == pytest.approx(0.8)
    assert measure_brier(wrong) == pytest.approx(2 * 0.8**2)
    assert describe(wrong)["nll"] == pytest.approx(-np.log(0.2))
