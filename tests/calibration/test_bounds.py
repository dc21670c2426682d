"""An exam's number and its interval are one statement, and neither claims more than was seen."""

import numpy as np
import pytest

from neurosono.calibration.bounds import LEAST_EXAMS, tabulate
from neurosono.calibration.fit import Wishes
from neurosono.calibration.report import fit
from neurosono.engine.contracts.calibration import Calibration, ExamCalibration
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.exam.exam import Exam
from tests.calibration.simulation import simulate


def test_no_answer_is_surer_than_its_exams_support() -> None:
    sure = np.array([1.0, 0.0, 0.0])
    noted = ExamCalibration(intercept=3.0, exams=49)
    assert noted.calibrate(sure, 1.0, 1) == pytest.approx([0.98, 0.01, 0.01])
    assert ExamCalibration(intercept=3.0).calibrate(sure, 1.0, 1)[1] < 1e-12
    many = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    found = noted.calibrate(many, 1.0, 1)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found.argmax(1) == many.argmax(1)).all()


def test_an_interval_holds_its_number_and_stands_between_the_rows() -> None:
    exam = ExamCalibration(bounds=((0.1, 0.0, 0.2), (0.9, 0.8, 1.0)))
    enclosed = exam.enclose(np.array([0.05, 0.5, 0.95]))
    assert enclosed is not None
    low, high = enclosed
    assert low == pytest.approx([0.0, 0.4, 0.8])
    assert high == pytest.approx([0.2, 0.6, 1.0])
    outside = exam.enclose(np.array([0.3, 0.99]))
    assert outside is not None
    assert (outside[0] <= [0.3, 0.99]).all()
    assert (outside[1] >= [0.3, 0.99]).all()
    assert ExamCalibration().enclose(np.array([0.5])) is None


@pytest.mark.parametrize(
    "bounds",
    [
        ((0.1, 0.0, 0.2),),
        ((0.9, 0.0, 0.2), (0.1, 0.1, 0.3)),
        ((0.1, 0.3, 0.2), (0.9, 0.4, 0.5)),
        ((0.1, -0.1, 0.2), (0.9, 0.4, 0.5)),
    ],
)
def test_bounds_that_are_none_are_refused(bounds: tuple[tuple[float, float, float], ...]) -> None:
    with pytest.raises(InputError, match="bounds of two rows or more, ascending"):
        ExamCalibration(bounds=bounds)


def test_bounds_are_as_wide_as_the_exams_are_few() -> None:
    rng = np.random.default_rng(3)

    def table(exams: int) -> np.ndarray:
        chances = rng.uniform(0, 1, exams * 4)
        hits = (rng.uniform(0, 1, exams * 4) < chances).astype(float)
        names = np.repeat([f"e{number}" for number in range(exams)], 4)
        return np.array(tabulate(chances, hits, names))

    few, many = table(60), table(6000)
    assert (np.diff(few, axis=0) >= 0).all()
    assert (few[:, 1] <= few[:, 2]).all()
    assert np.mean(few[:, 2] - few[:, 1]) > 2 * np.mean(many[:, 2] - many[:, 1])
    inside = (many[:, 1] - 0.05 <= many[:, 0]) & (many[:, 0] <= many[:, 2] + 0.05)
    assert inside.all()
    names = np.array([f"e{number}" for number in range(LEAST_EXAMS)])
    assert tabulate(np.full(LEAST_EXAMS, 0.5), np.ones(LEAST_EXAMS), names) == ()


def test_a_calibration_brings_bounds_by_patients_left_out_and_its_exams_number() -> None:
    frames = simulate(60, 8, 1.5)
    found = fit(frames, Wishes(0.2)).calibration
    assert found.exam is not None
    assert found.exam.exams == len(np.unique(frames.exams))
    assert len(found.exam.bounds) >= 2
    assert Calibration.from_json(found.to_json()) == found
    exam = Exam(frames.labels, found)
    for row in np.flatnonzero(frames.exams == frames.exams[0]):
        exam.update(frames.probabilities[row][None].astype(np.float32))
        shown = exam.snapshot()
        assert (shown.low <= shown.probabilities).all()
        assert (shown.probabilities <= shown.high).all()
        enclosed = found.exam.enclose(shown.probabilities)
        assert enclosed is not None
        np.testing.assert_array_equal(shown.low, enclosed[0])
        assert shown.probabilities.max() <= 1 - 1 / (found.exam.exams + 1) + 1e-12
