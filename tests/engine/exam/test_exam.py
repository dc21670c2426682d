"""The running exam: the paper's mean, an honest count of independent frames, exact restoring."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosono.engine.contracts.calibration import Calibration, ExamCalibration
from neurosono.engine.contracts.errors import EngineFailedError, InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import ExamState
from neurosono.engine.exam.exam import Exam, measure_disagreement

LABELS = ("a", "b", "c")
RNG = np.random.default_rng


def draw(rng: np.random.Generator, frames: int, members: int = 2) -> np.ndarray:
    return rng.dirichlet(np.ones(len(LABELS)), (frames, members)).astype(np.float32)


def test_the_exam_is_the_mean_of_the_frames() -> None:
    exam, frames = Exam(LABELS, Calibration()), draw(RNG(0), 50)
    for frame in frames:
        exam.update(frame)
    expected = frames.astype(np.float64).mean(axis=1)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(exam.snapshot().probabilities, expected.mean(axis=0), atol=1e-12)
    assert exam.snapshot().used == 50


def test_frames_are_calibrated_before_they_are_averaged() -> None:
    exam = Exam(LABELS, Calibration(temperature=2.0))
    probabilities = exam.update(np.array([[0.64, 0.32, 0.04]], dtype=np.float32))
    roots = np.sqrt([0.64, 0.32, 0.04])
    np.testing.assert_allclose(probabilities, roots / roots.sum(), rtol=1e-6)


def test_nothing_is_said_without_evidence() -> None:
    exam = Exam(LABELS, Calibration())
    exam.skip(SkipReason.FROZEN)
    exam.skip(SkipReason.FROZEN)
    exam.skip(SkipReason.DOPPLER)
    snapshot = exam.snapshot()
    assert np.isnan(snapshot.probabilities).all()
    assert snapshot.state is ExamState.COLLECTING
    assert snapshot.prediction_set == ()
    assert snapshot.skipped == {"frozen": 2, "doppler": 1}


def test_independent_frames_count_nearly_in_full_and_repeated_ones_do_not() -> None:
    free, slow = Exam(LABELS, Calibration()), Exam(LABELS, Calibration())
    frames = draw(RNG(1), 400)
    for frame in frames:
        free.update(frame)
    for frame in np.repeat(frames[:20], 20, axis=0):
        slow.update(frame)
    assert free.snapshot().effective_frames > 300
    assert slow.snapshot().effective_frames < 40
    assert (slow.snapshot().high - slow.snapshot().low > 0).all()
    wider = slow.snapshot().high - slow.snapshot().low
    assert (wider > free.snapshot().high - free.snapshot().low).all()


def test_states_follow_the_evidence() -> None:
    exam = Exam(LABELS, Calibration(conformal_threshold=0.3))
    assert exam.snapshot().state is ExamState.COLLECTING
    for _ in range(200):
        exam.update(np.array([[0.5, 0.5, 0.0]], dtype=np.float32))
    assert exam.snapshot().state is ExamState.AMBIGUOUS, "nothing reaches 0.7"
    assert exam.snapshot().prediction_set == ("a",), "but a set is never empty"
    for _ in range(2000):
        exam.update(np.array([[0.99, 0.01, 0.0]], dtype=np.float32))
    assert exam.snapshot().state is ExamState.STABLE
    assert exam.snapshot().prediction_set == ("a",)


def test_each_class_has_its_own_threshold() -> None:
    exam = Exam(LABELS, Calibration(conformal_threshold=0.1, class_thresholds=(0.5, 0.8, 0.95)))
    exam.update(np.array([[0.55, 0.25, 0.2]], dtype=np.float32))
    assert exam.snapshot().prediction_set == ("a", "b", "c")
    exam = Exam(LABELS, Calibration(class_thresholds=(0.5, 0.5, 0.5)))
    exam.update(np.array([[0.55, 0.25, 0.2]], dtype=np.float32))
    assert exam.snapshot().prediction_set == ("a",)


EXAM = ExamCalibration(0.2, 0.8, 12.0, 0.5, 20.0)


def test_a_calibrated_exam_keeps_the_plain_mean_beside_it() -> None:
    plain, exam = Exam(LABELS, Calibration()), Exam(LABELS, Calibration(exam=EXAM))
    for frame in draw(RNG(3), 20) * 0.2 + np.array([0.5, 0.2, 0.1], dtype=np.float32):
        plain.update(frame)
        exam.update(frame)
    found, mean = exam.snapshot(), plain.snapshot()
    assert mean.mean is None
    assert found.mean is not None
    assert found.mean.tolist() == mean.probabilities.tolist()
    evidence = EXAM.weigh(found.effective_frames, found.used)
    power = found.mean ** np.exp(0.2 + 0.8 * np.log(min(evidence, 12.0)))
    np.testing.assert_allclose(found.probabilities, power / power.sum(), rtol=1e-12)
    assert found.probabilities[0] > found.mean[0], "surer than the mean"
    assert found.effective_frames == mean.effective_frames


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(-2, 2), st.floats(0, 3))
def test_bounds_stay_on_their_sides(seed: int, frames: int, intercept: float, slope: float) -> None:
    rng = RNG(seed)
    biases = tuple(rng.normal(0, 2, 3).tolist())
    calibration = Calibration(exam=ExamCalibration(intercept, slope, 8.0, 0.5, 20.0, biases))
    exam = Exam(LABELS, calibration)
    for frame in rng.dirichlet(np.full(3, 0.1), (frames, 2)).astype(np.float32):
        exam.update(frame)
    found = exam.snapshot()
    assert found.probabilities.sum() == pytest.approx(1)
    assert (found.low >= 0).all()
    assert (found.low <= found.probabilities).all()
    assert (found.probabilities <= found.high).all()
    assert (found.high <= 1).all()


def test_a_bound_at_the_mean_is_the_probability_itself() -> None:
    mean = np.array([0.6, 0.3, 0.1])
    same = EXAM.bound(mean, mean, 5.0, 20)
    np.testing.assert_allclose(same, EXAM.calibrate(mean, 5.0, 20), rtol=1e-12)
    higher = EXAM.bound(mean, mean + 0.1, 5.0, 20)
    assert (higher > same).all()


def test_evidence_of_few_frames_leans_on_the_cohort() -> None:
    """Two frames cannot tell how alike they are, 2,000 can."""
    assert EXAM.weigh(2.0, 2) < 1.5, "taken for 2 frames, but those of others are half alike"
    assert EXAM.weigh(1900.0, 2000) == pytest.approx(1900, rel=0.02)
    assert EXAM.weigh(50.0, 2000) == pytest.approx(50, rel=0.1)
    assert ExamCalibration().weigh(7.5, 20) == pytest.approx(7.5), "0 pairs: the exam's own"


@pytest.mark.parametrize(
    "bad",
    [[np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, -1.0, 0.0]],
)
def test_numbers_that_are_no_probabilities_are_an_error_never_an_answer(bad: list[float]) -> None:
    exam = Exam(LABELS, Calibration())
    with pytest.raises(EngineFailedError, match="no probabilities"):
        exam.update(np.array([bad], dtype=np.float32))
    assert exam.snapshot().used == 0


def test_how_it_stands_is_drawn_up_once_and_anew_with_whatever_is_added() -> None:
    exam = Exam(("normal", "other"), Calibration())
    seen = [exam.snapshot()]
    for k in range(4):
        if k % 2:
            exam.skip(SkipReason.FROZEN)
        else:
            exam.update(np.array([[0.25, 0.75]], np.float32))
        assert exam.snapshot() is exam.snapshot()
        seen.append(exam.snapshot())
    exam.take_up(Exam(("normal", "other"), Calibration()).to_json())
    seen.append(exam.snapshot())
    counts = [(each.used, each.skipped.get("frozen", 0)) for each in seen]
    assert counts == [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 0)]


def test_another_class_count_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(M, 3\)"):
        Exam(LABELS, Calibration()).update(np.full((1, 4), 0.25, dtype=np.float32))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_a_restored_exam_goes_on_bit_for_bit(seed: int, cut: int) -> None:
    frames = draw(RNG(seed), 30)
    calibration = Calibration(exam=EXAM)
    whole = Exam(LABELS, calibration)
    first = Exam(LABELS, calibration)
    for frame in frames:
        whole.update(frame)
    for frame in frames[:cut]:
        first.update(frame)
        first.skip(SkipReason.NEAR_DUPLICATE)
    second = Exam.restore(json.loads(json.dumps(first.to_json())), calibration)
    for frame in frames[cut:]:
        second.update(frame)
    a, b = whole.snapshot(), second.snapshot()
    assert a.probabilities.tolist() == b.probabilities.tolist()
    assert a.effective_frames == b.effective_frames
    assert b.skipped == ({"near-duplicate": cut} if cut else {})


def test_a_damaged_state_is_refused() -> None:
    with pytest.raises(InputError, match="saved state"):
        Exam.restore({"labels": LABELS, "used": 1}, Calibration())


def test_disagreement_is_zero_for_one_voice_and_grows() -> None:
    one = np.array([[0.2, 0.3, 0.5]], dtype=np.float32)
    split = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    assert measure_disagreement(one) == 0.0
    assert measure_disagreement(split) == pytest.approx(0.5)
