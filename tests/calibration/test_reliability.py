import numpy as np
import pytest

from neurosono.calibration.reliability import (
    describe,
    draw_diagram,
    expect_ece,
    measure,
    measure_ece,
)
from neurosono.calibration.scaling import fit_scaling
from neurosono.engine.contracts.calibration import Calibration
from tests.calibration.simulation import simulate, table


def test_scaling_mends_the_calibration_error() -> None:
    honest = simulate(exams=4000, frames=1, sharpness=1.5)
    before = honest.with_probabilities(Calibration(0.4).calibrate(honest.probabilities))
    fitted = fit_scaling(before, "temperature")
    after = before.with_probabilities(fitted.calibrate(before.probabilities))
    assert measure_ece(before) > 0.1
    assert measure_ece(after) < 0.03
    assert measure(after)["brier"] < measure(before)["brier"]
    assert np.array_equal(after.probabilities.argmax(1), before.probabilities.argmax(1))


def test_errors_of_probabilities_that_are_known() -> None:
    probabilities = np.array([[0.8, 0.2]] * 10)
    sure = table(probabilities, np.array([0] * 8 + [1] * 2), np.arange(10))
    assert measure(sure)["ece"] == pytest.approx(0, abs=1e-12)
    wrong = table(probabilities, np.array([1] * 10), np.arange(10))
    found = measure(wrong)
    assert found["ece"] == pytest.approx(0.8)
    assert found["adaptive_ece"] == pytest.approx(0.8)
    assert found["brier"] == pytest.approx(2 * 0.8**2)
    assert found["nll"] == pytest.approx(-np.log(0.2))


def test_adaptive_bins_see_what_even_bins_blur() -> None:
    """All confidences in one even bin: half too sure, half not sure enough."""
    confidence = np.repeat([0.94, 0.99], 500)
    right = np.concatenate([np.arange(500) < 500, np.arange(500) < 465])
    exams = table(np.stack([confidence, 1 - confidence], 1), (~right).astype(int), np.arange(1000))
    found = measure(exams)
    assert found["ece"] < 0.001
    assert found["adaptive_ece"] > 0.05


def test_chance_alone_explains_the_error_of_honest_exams_and_only_theirs() -> None:
    honest = simulate(120, 1, 1.5).by_exam()
    chance = expect_ece(honest)
    assert 0.03 < chance["mean"] < chance["p95"] < 0.15
    assert measure_ece(honest) < chance["p95"]
    shy = honest.with_probabilities(Calibration(3.0).calibrate(honest.probabilities))
    assert measure_ece(shy) > expect_ece(shy)["p95"]


def test_intervals_come_from_patients() -> None:
    few = describe(simulate(30, 20, 1.5))
    many = describe(simulate(600, 1, 1.5))
    assert few["count"] == many["count"] == 600
    for found in (few, many):
        assert found["nll_95"][0] < found["nll"] < found["nll_95"][1]
    assert np.ptp(few["nll_95"]) > 2 * np.ptp(many["nll_95"])


def test_the_diagram_holds_every_exam_once() -> None:
    exams = simulate(100, 1, 1.5).by_exam()
    points = draw_diagram(exams)
    assert sum(point["count"] for point in points) == 100
    confidence = [point["confidence"] for point in points]
    assert confidence == sorted(confidence)
    mean = sum(point["count"] * point["accuracy"] for point in points) / 100
    assert mean == pytest.approx((exams.probabilities.argmax(1) == exams.targets).mean())
    assert all(p["accuracy_95"][0] <= p["accuracy"] + 1e-9 for p in points)
