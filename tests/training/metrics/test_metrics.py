import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.metrics.metrics import describe, describe_both, describe_fully, measure
from neurosono.training.metrics.ranking import rank
from neurosono.training.metrics.resampling import Draws, set_interval, wilson_interval
from tests.training.simulated import LABELS, make_exams, simulate


def _predictions(truth: list[int], said: list[int], exams: list[str]) -> Predictions:
    count = len(truth)
    return Predictions(
        labels=("a", "b"),
        rows=np.arange(count),
        folds=np.zeros(count, dtype=np.int64),
        patients=np.array(exams),
        exams=np.array(exams),
        targets=np.array(truth),
        weeks=np.full(count, np.nan),
        sites=np.full(count, ""),
        probabilities=np.eye(2)[said] * 0.8 + 0.1,
    )


def test_wilson_gives_the_textbook_interval() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=2e-4)
    assert wilson_interval(50, 50) == pytest.approx((0.9287, 1.0), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_counts_recall_precision_and_f1() -> None:
    found = describe(_predictions([0, 0, 0, 1], [0, 0, 1, 1], list("wxyz")))
    assert found["confusion"] == [[2, 1], [0, 1]]
    assert found["recall"] == {"a": pytest.approx(2 / 3), "b": 1.0}
    assert found["precision"] == {"a": 1.0, "b": 0.5}
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_an_exam_is_the_mean_of_its_frames() -> None:
    predictions = _predictions([0, 0, 0, 1], [0, 0, 1, 0], ["x", "x", "x", "y"])
    found = describe_both(predictions)
    assert found["frames"]["accuracy"] == 0.5
    assert (found["exams"]["count"], found["exams"]["accuracy"]) == (2, 0.5)


def test_the_bootstrap_draws_patients_not_frames() -> None:
    """Two patients, one all right and one all wrong: frames would give a narrow interval."""
    truth = [0] * 200
    said = [0] * 100 + [1] * 100
    predictions = _predictions(truth, said, ["x"] * 100 + ["y"] * 100)
    assert describe_both(predictions)["frames"]["accuracy_95"] == [0.0, 1.0]


@pytest.mark.parametrize("digits", [7, 1], ids=["distinct", "many ties"])
def test_ranks_agree_with_scikit_learn_on_every_resample(digits: int) -> None:
    frames = simulate(digits=digits)
    draws = Draws.bootstrap(frames, resamples=8, seed=3)
    patient_of = draws.find(frames)
    truth, scores = frames.targets == 1, frames.probabilities[:, 1]
    auroc, precision = rank(scores, truth, draws.weights, patient_of)
    for number, weights in enumerate(draws.weights[:, patient_of]):
        assert auroc[number] == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights))
        expected = average_precision_score(truth, scores, sample_weight=weights)
        assert precision[number] == pytest.approx(expected)


def test_means_over_classes_agree_with_scikit_learn() -> None:
    frames = simulate()
    found = {name: values[0] for name, values in measure(frames, Draws.once(frames)).items()}
    truth = np.eye(len(LABELS))[frames.targets]
    for average in ("macro", "micro"):
        expected = roc_auc_score(truth, frames.probabilities, average=average)
        assert found[f"{average}_auroc"] == pytest.approx(expected)
        expected = average_precision_score(truth, frames.probabilities, average=average)
        assert found[f"{average}_average_precision"] == pytest.approx(expected)
    said = frames.probabilities.argmax(1)
    expected = precision_recall_fscore_support(frames.targets, said, average="macro")[:3]
    names = ("macro_precision", "macro_recall", "macro_f1")
    assert [found[name] for name in names] == pytest.approx(list(expected))


def test_a_draw_is_measured_as_if_its_patients_were_written_out() -> None:
    """The weights stand for patients taken twice or never, at frame and exam level alike."""
    frames = simulate(patients=15)
    draws = Draws.bootstrap(frames, resamples=1, seed=5)
    times = draws.weights[0].astype(int)
    assert times.max() > 1
    assert times.min() == 0
    parts = [
        frames.select(frames.patients == name)
        for name, again in zip(draws.patients, times, strict=True)
        for _ in range(again)
    ]
    for level in ("frames", "exams"):
        if level == "exams":
            parts, whole = [part.by_exam() for part in parts], frames.by_exam()
        else:
            whole = frames
        written = Predictions.join(parts)
        expected = measure(written, Draws.once(written))
        for name, values in measure(whole, draws).items():
            np.testing.assert_allclose(values, expected[name], err_msg=f"{level} {name}")


def test_what_is_undefined_is_none_and_left_out_of_means() -> None:
    exams = make_exams([0, 0, 1, 1], [0, 0, 1, 2])
    found = describe_fully(exams, Draws.bootstrap(exams))
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["recall"]["normal"] == {"value": None, "low": None, "high": None}
    assert found["auroc"]["normal"]["value"] is None
    assert found["macro_recall"]["value"] == pytest.approx(0.75), "of the two classes that occur"
    assert found["recall"]["anencephaly"]["low"] == 1.0
    assert found["recall_wilson"]["anencephaly"]["low"] == pytest.approx(0.342, abs=1e-3)


def test_a_class_never_answered_has_precision_zero_in_the_mean() -> None:
    found = describe(make_exams([0, 0, 1], [0, 0, 0]))
    assert found["precision"]["encephalocele"] is None
    assert found["macro_precision"] == pytest.approx((2 / 3 + 0) / 2)


def test_the_interval_holds_the_value_and_narrows_with_patients() -> None:
    few, many = (simulate(patients=count) for count in (20, 320))
    widths = []
    for frames in (few, many):
        found = describe_fully(frames, Draws.bootstrap(frames))["macro_auroc"]
        assert found["low"] < found["value"] < found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0] / 2, "sixteen times the patients, a quarter of the width"


def test_draws_are_of_these_patients_or_refused() -> None:
    frames = simulate(patients=10)
    draws = Draws.bootstrap(frames)
    assert (draws.weights.sum(1) == 10).all()
    assert draws.find(frames.by_exam()).tolist() == list(range(10))
    with pytest.raises(InputError, match="other patients"):
        draws.find(simulate(patients=11))


def test_an_interval_of_nothing_is_none() -> None:
    assert set_interval(np.nan, np.array([np.nan])) == {"value": None, "low": None, "high": None}
