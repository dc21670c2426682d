import numpy as np
import pytest

from neurosono.calibration.exams import Trace, compare_biases, fit_exams, replay
from neurosono.calibration.reliability import expect_ece, measure_ece
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.exam.exam import Exam
from tests.calibration.simulation import table


def shy_exams(exams: int = 300, frames: int = 12, seed: int = 0) -> Predictions:
    """Draw frames that each show a little of the truth: together they show it all."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(3, size=exams)
    each = np.repeat(np.arange(exams), frames)
    logits = rng.normal(0, 1, (len(each), 3)) + rng.normal(0, 0.3, (exams, 3))[each]
    logits[np.arange(len(each)), targets[each]] += 1.0
    probabilities = np.exp(logits)
    return table(probabilities / probabilities.sum(1, keepdims=True), targets[each], each)


def test_a_trace_is_what_the_engine_shows_frame_by_frame() -> None:
    frames, scaling = shy_exams(4, 5), Calibration(0.7)
    order = np.random.default_rng(1).permutation(20)
    order = order[np.argsort(order % 5, kind="stable")]  # exams interleaved, each in its order
    mixed = frames._take(order)
    trace = replay(mixed, scaling)
    for number, name in enumerate(trace.exams.exams):
        exam = Exam(frames.labels, scaling)
        lines = np.flatnonzero(trace.exam_of == number)
        for used, row in enumerate(np.flatnonzero(mixed.exams == name)):
            exam.update(mixed.probabilities[row][None].astype(np.float32))
            snapshot = exam.snapshot()
            line = lines[used]
            assert trace.means[line].tolist() == snapshot.probabilities.tolist()
            assert trace.effective[line] == snapshot.effective_frames
            assert trace.used[line] == used + 1
        assert trace.ends[number] == lines[-1]
    np.testing.assert_array_equal(trace.exams.probabilities, trace.means[trace.ends])


def test_exams_that_say_too_little_come_to_say_what_they_know() -> None:
    fitted_on, fresh = (replay(shy_exams(seed=seed), Calibration()) for seed in (0, 1))
    found = Calibration(exam=fit_exams(fitted_on, with_biases=False))
    before = fresh.exams
    after = before.with_probabilities(fresh.calibrate(found)[fresh.ends])
    assert measure_ece(before) > 0.25
    assert measure_ece(after) < expect_ece(after)["p95"]
    same = before.probabilities.argmax(1) == after.probabilities.argmax(1)
    assert same.all(), "without biases the order of classes cannot change"
    early = fresh.used == 2
    said = fresh.calibrate(found)[early].max(1).mean()
    right = (fresh.means[early].argmax(1) == fresh.targets[early]).mean()
    assert said == pytest.approx(right, abs=0.06), "the running number too"


def test_more_evidence_is_never_less_sure() -> None:
    exam = fit_exams(replay(shy_exams(150), Calibration()), with_biases=False)
    mean = np.array([0.6, 0.3, 0.1])
    said = [exam.calibrate(mean, worth, 40)[0] for worth in np.linspace(1, 40, 30)]
    assert (np.diff(said) >= 0).all()
    assert said[-1] > said[0]


def test_biases_are_taken_only_where_they_clearly_help() -> None:
    honest = replay(shy_exams(60, 6), Calibration())
    contest = compare_biases(honest)
    assert contest is not None
    assert not contest.rich_wins
    skewed = honest.means * [4, 1, 1]
    skewed /= skewed.sum(1, keepdims=True)
    biased = Trace(honest.exams, honest.exam_of, skewed, honest.effective, honest.used)
    contest = compare_biases(biased)
    assert contest is not None
    assert contest.rich_wins
    assert fit_exams(biased, with_biases=True).biases[0] < -0.5


def test_a_trace_of_some_exams_is_their_part() -> None:
    trace = replay(shy_exams(10, 3), Calibration())
    wanted = np.arange(10) % 3 == 0
    some = trace.select(wanted)
    assert some.exams.exams.tolist() == trace.exams.exams[wanted].tolist()
    assert some.exam_of.tolist() == np.repeat(np.arange(4), 3).tolist()
    np.testing.assert_array_equal(some.means[some.ends], trace.means[trace.ends][wanted])
