"""An exam of mostly unfamiliar pictures says nothing: no figure, no set, no alarm."""

import numpy as np

from neurosono.engine.contracts.calibration import Alarm, Calibration
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.pair import Carrier, EnsembleAnswer
from neurosono.engine.contracts.result import ExamSnapshot, ExamState
from neurosono.engine.exam.exam import Exam
from neurosono.engine.exam.pair import PairedExam

LABELS = ("ill", "normal")
ILL = Calibration(alarm=Alarm("normal", 0.6, 0.5, 0.0))
STRANGE = SkipReason.UNFAMILIAR_TO_MODEL


def members(seed: int = 0) -> np.ndarray:
    wobble = np.random.default_rng(seed).uniform(0, 0.1)
    return np.array([[0.9 - wobble, 0.1 + wobble]], dtype=np.float32)


def is_silent(shown: ExamSnapshot) -> bool:
    figures = (shown.probabilities, shown.low, shown.high)
    return all(np.isnan(each).all() for each in figures) and not shown.prediction_set


def run(exam: Exam, used: int, strange: int) -> ExamSnapshot:
    for seed in range(used):
        exam.update(members(seed))
    for _ in range(strange):
        exam.skip(STRANGE)
    return exam.snapshot()


def test_a_single_unfamiliar_picture_is_told_and_judged_by_nobody() -> None:
    shown = run(Exam(LABELS, ILL), 0, 1)
    assert shown.state is ExamState.UNFAMILIAR
    assert is_silent(shown)
    assert shown.skipped == {"unfamiliar-to-model": 1}


def test_a_few_that_pass_among_many_that_do_not_say_nothing_and_sound_no_alarm() -> None:
    exam = Exam(LABELS, ILL)
    assert run(exam, 60, 0).alarm, "what the test rests on"
    shown = run(exam, 0, 61)
    assert shown.state is ExamState.UNFAMILIAR
    assert is_silent(shown)
    assert (shown.mean, shown.alarm, shown.used) == (None, False, 60)


def test_few_strange_pictures_cost_themselves_only() -> None:
    plain, with_strange = run(Exam(LABELS, ILL), 60, 0), run(Exam(LABELS, ILL), 60, 5)
    assert with_strange.state is plain.state
    np.testing.assert_array_equal(with_strange.probabilities, plain.probabilities)


def test_other_reasons_to_skip_make_no_exam_unfamiliar() -> None:
    exam = Exam(LABELS, ILL)
    run(exam, 60, 0)
    for _ in range(100):
        exam.skip(SkipReason.UNFAMILIAR)
        exam.skip(SkipReason.FROZEN)
    assert exam.snapshot().state is not ExamState.UNFAMILIAR


def test_an_unfamiliar_exam_is_taken_up_as_it_was() -> None:
    exam = Exam(LABELS, ILL)
    run(exam, 3, 4)
    again = Exam.restore(exam.to_json(), ILL)
    assert again.snapshot().state is ExamState.UNFAMILIAR
    again.update(members())
    again.update(members())
    assert again.snapshot().state is not ExamState.UNFAMILIAR


def test_of_two_models_either_may_find_the_pictures_strange() -> None:
    pair = PairedExam(LABELS, ILL, ILL)
    for seq in range(60):
        pair.update(members(seq))
        pair.follow(EnsembleAnswer(seq, members(seq), strangeness=2.5))
    shown = pair.snapshot()
    assert shown.state is ExamState.UNFAMILIAR
    assert is_silent(shown)
    assert shown.carried is not None
    assert (shown.carried.by, shown.carried.judged) == (Carrier.ENSEMBLE, 60)
    other = PairedExam(LABELS, ILL, ILL)
    other.skip(STRANGE)
    assert other.snapshot().state is ExamState.UNFAMILIAR
