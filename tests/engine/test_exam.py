"""The running exam: the paper's mean, an honest count of independent frames, exact restoring."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contracts.calibration import Calibration
from engine.contracts.errors import EngineFailedError, InputError
from engine.contracts.frame import SkipReason
from engine.contracts.result import ExamState
from engine.exam import Exam, measure_disagreement

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
    assert exam.snapshot().state is ExamState.AMBIGUOUS  # nothing reaches 0.7: an empty set
    assert exam.snapshot().prediction_set == ()
    for _ in range(2000):
        exam.update(np.array([[0.99, 0.01, 0.0]], dtype=np.float32))
    assert exam.snapshot().state is ExamState.STABLE
    assert exam.snapshot().prediction_set == ("a",)


@pytest.mark.parametrize(
    "bad",
    [[np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, -1.0, 0.0]],
)
def test_numbers_that_are_no_probabilities_are_an_error_never_an_answer(bad: list[float]) -> None:
    exam = Exam(LABELS, Calibration())
    with pytest.raises(EngineFailedError, match="no probabilities"):
        exam.update(np.array([bad], dtype=np.float32))
    assert exam.snapshot().used == 0


def test_another_class_count_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(M, 3\)"):
        Exam(LABELS, Calibration()).update(np.full((1, 4), 0.25, dtype=np.float32))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_a_restored_exam_goes_on_bit_for_bit(seed: int, cut: int) -> None:
    frames = draw(RNG(seed), 30)
    whole = Exam(LABELS, Calibration())
    first = Exam(LABELS, Calibration())
    for frame in frames:
        whole.update(frame)
    for frame in frames[:cut]:
        first.update(frame)
        first.skip(SkipReason.NEAR_DUPLICATE)
    second = Exam.restore(json.loads(json.dumps(first.to_json())), Calibration())
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
