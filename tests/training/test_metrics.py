import numpy as np
import pytest

from engine.contracts.predictions import Predictions
from training.metrics import bootstrap_accuracy, describe, describe_both, wilson_interval


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
    assert bootstrap_accuracy(predictions) == (0.0, 1.0)
