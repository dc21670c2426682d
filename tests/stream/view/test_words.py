"""What an exam's state lets a screen say."""

import numpy as np
import pytest

from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.view.state import AiState, OverlayState
from neurosono.stream.view.status import describe_status
from neurosono.stream.view.summary import describe_exam
from neurosono.stream.view.words import SKIP_WORDS, STATE_SENTENCES

LABELS = ("ill", "normal")


def make_exam(state: ExamState, first: float = 0.9) -> ExamSnapshot:
    values = np.array([first, 1 - first])
    return ExamSnapshot(values, values - 0.05, values + 0.05, ("ill",), state, 9, 4.0, alarm=True)


def tell(exam: ExamSnapshot) -> dict[str, object]:
    result = Result("s", 0, 0, 0.0, exam)
    return describe_status(LABELS, OverlayState(AiState.ON, result=result), exam, {})


def test_every_state_has_its_sentence_and_every_reason_its_word() -> None:
    assert set(STATE_SENTENCES) == set(ExamState)
    assert set(SKIP_WORDS) == set(SkipReason)
    assert len(set(STATE_SENTENCES.values())) == len(ExamState)


@pytest.mark.parametrize("state", [ExamState.STABLE, ExamState.AMBIGUOUS])
def test_an_exam_with_an_answer_is_told_with_its_figures(state: ExamState) -> None:
    said = tell(make_exam(state))
    assert said["probabilities"] == [0.9, 0.1]
    assert (said["prediction_set"], said["alarm"], said["leaning"]) == (["ill"], True, None)


def test_a_collecting_exam_leans_and_has_no_figure() -> None:
    said = tell(make_exam(ExamState.COLLECTING))
    assert said["probabilities"] is said["low"] is said["high"] is None
    assert (said["prediction_set"], said["alarm"], said["leaning"]) == ([], False, "ill")


def test_an_unfamiliar_exam_says_so_and_nothing_else() -> None:
    nothing = np.full(2, np.nan)
    exam = ExamSnapshot(nothing, nothing, nothing, (), ExamState.UNFAMILIAR, 1, 1.0)
    said = tell(exam)
    assert said["probabilities"] is said["leaning"] is None
    assert said["state"] == "unfamiliar"
    assert "unlike those that the model was trained on" in str(said["state_sentence"])
    record = describe_exam(LABELS, exam)
    assert record["probabilities"] is record["mean"] is record["prediction"] is None
    assert record["intervals_95"] is None
    assert (record["prediction_set"], record["alarm"]) == ([], False)
    assert record["state_sentence"] == said["state_sentence"]


def test_a_live_exam_of_which_nothing_was_used_says_why() -> None:
    nothing = np.full(2, np.nan)
    skipped = {"doppler": 270, "of another release": 2}
    exam = ExamSnapshot(
        nothing, nothing, nothing, (), ExamState.COLLECTING, 0, 0.0, skipped=skipped
    )
    told = str(tell(exam)["nothing_used"])
    assert "Nothing was judged" in told
    assert "270 Doppler, 2 of another release" in told
    assert tell(make_exam(ExamState.STABLE))["nothing_used"] is None
