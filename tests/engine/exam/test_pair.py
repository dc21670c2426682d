"""Two exams side by side: whose result is shown, from when on, and what becomes of the other."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.pair import Carried, Carrier, EnsembleAnswer
from neurosono.engine.contracts.preprocessing import Fit, PreprocessingSpec
from neurosono.engine.contracts.result import ExamState
from neurosono.engine.exam.exam import Exam
from neurosono.engine.exam.pair import PairedExam, check_pair

LABELS = ("a", "b", "c")
STUDENT, ENSEMBLE = Calibration(temperature=2.0), Calibration(temperature=0.5)


def draw(seed: int, members: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(len(LABELS)), members).astype(np.float32)


def make_pair() -> PairedExam:
    return PairedExam(LABELS, STUDENT, ENSEMBLE)


def run(pair: PairedExam, frames: range, every: int = 2) -> list[Carrier]:
    """Let the student judge `frames` and the ensemble each `every`th; return who carried."""
    carriers = []
    for seq in frames:
        pair.update(draw(seq, 1))
        if seq % every == 0:
            pair.follow(EnsembleAnswer(seq, draw(1000 + seq, 4)))
        carried = pair.snapshot().carried
        assert carried is not None
        carriers.append(carried.by)
    return carriers


def test_the_ensemble_carries_from_the_frame_on_that_ends_its_own_collecting() -> None:
    pair, alone = make_pair(), Exam(LABELS, ENSEMBLE)
    for seq in range(40):
        pair.update(draw(seq, 1))
        if seq % 2 == 0:
            pair.follow(EnsembleAnswer(seq, draw(1000 + seq, 4)))
            alone.update(draw(1000 + seq, 4))
        carried = pair.snapshot().carried
        assert carried is not None
        assert carried.judged == seq // 2 + 1
        if alone.snapshot().state is not ExamState.COLLECTING:
            break
        assert carried.by is Carrier.STUDENT
    assert carried is not None
    assert carried.by is Carrier.ENSEMBLE
    assert 3 <= carried.judged < 20


def test_each_exam_is_calibrated_by_its_own_bundle() -> None:
    pair, student, ensemble = make_pair(), Exam(LABELS, STUDENT), Exam(LABELS, ENSEMBLE)
    pair.update(draw(0, 1))
    student.update(draw(0, 1))
    np.testing.assert_array_equal(pair.snapshot().probabilities, student.snapshot().probabilities)
    run(pair, range(1, 60))
    for seq in range(2, 60, 2):
        ensemble.update(draw(1000 + seq, 4))
    shown, own = pair.snapshot(), ensemble.snapshot()
    assert shown.carried is not None
    assert shown.carried.by is Carrier.ENSEMBLE
    for name in ("probabilities", "low", "high"):
        np.testing.assert_array_equal(getattr(shown, name), getattr(own, name))
    assert (shown.prediction_set, shown.state) == (own.prediction_set, own.state)
    assert shown.effective_frames == own.effective_frames


def test_the_counts_stay_the_students_who_judges_every_frame() -> None:
    pair = make_pair()
    run(pair, range(50))
    pair.skip(SkipReason.FROZEN)
    shown = pair.snapshot()
    assert (shown.used, shown.judged, shown.skipped) == (50, 25, {"frozen": 1})


def test_it_never_changes_hands_twice_while_both_run() -> None:
    """An ensemble whose answers grow alike counts fewer independent frames: it keeps the exam."""
    pair = make_pair()
    assert run(pair, range(12), every=1)[-1] is Carrier.ENSEMBLE
    one, other = (
        np.array([row], dtype=np.float32) for row in ([0.9, 0.05, 0.05], [0.05, 0.9, 0.05])
    )
    for seq in range(12, 600):
        pair.update(draw(seq, 1))
        pair.follow(EnsembleAnswer(seq, one if seq < 300 else other))
    shown = pair.snapshot()
    assert shown.state is ExamState.COLLECTING  # what the test rests on
    assert shown.carried is not None
    assert shown.carried.by is Carrier.ENSEMBLE


def test_a_failed_ensemble_hands_the_exam_back_and_says_so() -> None:
    pair, student = make_pair(), Exam(LABELS, STUDENT)
    run(pair, range(40))
    pair.follow(EnsembleAnswer(38, None))
    run(pair, range(40, 45), every=1000)
    for seq in range(45):
        student.update(draw(seq, 1))
    shown = pair.snapshot()
    carried = shown.carried
    assert carried is not None
    assert (carried.by, carried.judged, carried.failed) == (Carrier.STUDENT, 20, True)
    np.testing.assert_array_equal(shown.probabilities, student.snapshot().probabilities)
    assert "failed after 20 of 45" in carried.describe(shown.used)


@pytest.mark.parametrize("cut", [0, 3, 9, 40])
def test_a_pair_taken_up_again_goes_on_bit_for_bit(cut: int) -> None:
    whole, first = make_pair(), make_pair()
    run(whole, range(cut))
    run(first, range(cut))
    again = make_pair()
    again.take_up(json.loads(json.dumps(first.to_json())))
    assert run(again, range(cut, 60)) == run(whole, range(cut, 60))
    assert again.to_json() == whole.to_json()


def test_a_state_of_one_model_is_not_taken_for_one_of_two() -> None:
    with pytest.raises(InputError, match="of one model, not of two"):
        make_pair().take_up(Exam(LABELS, STUDENT).to_json())


def test_whether_both_lead_with_the_same_class_is_said() -> None:
    pair = make_pair()
    pair.update(np.array([[0.8, 0.1, 0.1]], dtype=np.float32))
    assert pair.snapshot().carried == Carried(Carrier.STUDENT)
    pair.follow(EnsembleAnswer(0, np.array([[0.1, 0.8, 0.1]], dtype=np.float32)))
    assert pair.snapshot().carried == Carried(Carrier.STUDENT, 1, agrees=False)


def test_an_ensemble_without_frames_carries_nothing() -> None:
    with pytest.raises(InputError):
        Carried(Carrier.ENSEMBLE, 0)
    with pytest.raises(InputError):
        Carried(Carrier.ENSEMBLE, 5, failed=True)


def test_a_student_of_other_preprocessing_or_labels_is_refused(
    bundle_root: Path, student_root: Path, tmp_path: Path
) -> None:
    ensemble = Bundle.load(bundle_root)
    student = Bundle.load(shutil.copytree(student_root, tmp_path / "student"))
    check_pair(ensemble, student)
    for change, word in (
        ({"preprocessing": PreprocessingSpec(size_px=64, fit=Fit.CENTER_CROP)}, "preprocessing"),
        ({"labels": ("x", *ensemble.manifest.labels[1:])}, "labels"),
    ):
        write_manifest(student.root, replace(student.manifest, **change))
        with pytest.raises(BundleError, match=f"has other {word}"):
            check_pair(ensemble, Bundle.load(student.root))
    with pytest.raises(BundleError, match="is the bundle itself"):
        check_pair(ensemble, ensemble)
