"""How good predictions are: accuracy, precision, recall, F1, AUROC, average precision."""

from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.metrics.ranking import divide, rank
from neurosono.training.metrics.resampling import Draws, set_interval, set_wilson, wilson_interval

AT_A_TIME = 100
"""Resamples ranked at a time: 4,500 frames of five classes then take some 100 MB."""

CLASS_MEASURES = ("precision", "recall", "f1", "auroc", "average_precision")
Measured = dict[str, Floats]


def measure(predictions: Predictions, draws: Draws) -> Measured:
    """Measure every draw: `(R,)` for one number, `(R, C)` for one a class, NaN where undefined.

    Each of `CLASS_MEASURES` stands with its macro mean over the classes that occur; AUROC and
    average precision also with their micro form, over all classes' one-against-rest decisions
    together. `confusion` is `(R, C, C)`, rows the truth.
    """
    patient_of = draws.find(predictions)
    counted = count(predictions, draws, patient_of)
    ranked = [
        _rank_all(predictions, draws.weights[at : at + AT_A_TIME], patient_of)
        for at in range(0, len(draws.weights), AT_A_TIME)
    ]
    both = counted | {name: np.concatenate([each[name] for each in ranked]) for name in ranked[0]}
    occurs = both["confusion"].sum(2) > 0  # (R, C)
    for name in CLASS_MEASURES:
        # A class that is there and was never predicted has precision 0, as in scikit-learn.
        values = np.nan_to_num(both[name]) if name == "precision" else both[name]
        kept = np.where(occurs & np.isfinite(values), values, 0.0)
        counts = (occurs & np.isfinite(values)).sum(1).astype(np.float64)
        both[f"macro_{name}"] = divide(kept.sum(1), counts)
    return both


def count(predictions: Predictions, draws: Draws, patient_of: Integers) -> Measured:
    """Return what the confusions of each draw say: all but the ranks."""
    classes = len(predictions.labels)
    by_patient = np.zeros((len(draws.patients), classes, classes))
    said = predictions.probabilities.argmax(1)
    np.add.at(by_patient, (patient_of, predictions.targets, said), 1.0)
    confusion = (draws.weights @ by_patient.reshape(len(by_patient), -1)).reshape(
        -1, classes, classes
    )
    right = np.diagonal(confusion, axis1=1, axis2=2)
    truth, predicted = confusion.sum(2), confusion.sum(1)
    return {
        "confusion": confusion,
        "accuracy": divide(right.sum(1), truth.sum(1)),
        "recall": divide(right, truth),
        "precision": divide(right, predicted),
        "f1": divide(2 * right, truth + predicted),
    }


def _rank_all(predictions: Predictions, weights: Floats, patient_of: Integers) -> Measured:
    scores = predictions.probabilities
    truth = np.eye(scores.shape[1], dtype=bool)[predictions.targets]
    each = [rank(scores[:, at], truth[:, at], weights, patient_of) for at in range(scores.shape[1])]
    micro = rank(scores.ravel(), truth.ravel(), weights, patient_of.repeat(scores.shape[1]))
    return {
        "auroc": np.stack([auroc for auroc, _ in each], 1),
        "average_precision": np.stack([precision for _, precision in each], 1),
        "micro_auroc": micro[0],
        "micro_average_precision": micro[1],
    }


def describe_fully(predictions: Predictions, draws: Draws) -> dict[str, Any]:
    """Return every measure as JSON, each with its patient-bootstrap 95 % interval.

    `confusion_share` is each cell's share of its truth. Accuracy and recall stand with Wilson's
    interval too: at 100 % a bootstrap has nothing to vary and shrinks to a point. Wilson's counts
    every row as independent, which exams nearly are and frames are not.
    """
    labels = predictions.labels
    once, drawn = measure(predictions, Draws.once(predictions)), measure(predictions, draws)
    confusion = once["confusion"][0]
    shares, drawn_shares = (
        divide(each["confusion"], each["confusion"].sum(2, keepdims=True)) for each in (once, drawn)
    )
    cells = range(len(labels))
    found: dict[str, Any] = {
        "count": len(predictions.targets),
        "right": int(confusion.trace()),
        "confusion": confusion.astype(int).tolist(),
        "confusion_share": [
            [set_interval(shares[0, i, j], drawn_shares[:, i, j]) for j in cells] for i in cells
        ],
        "accuracy_wilson": set_wilson(int(confusion.trace()), len(predictions.targets)),
        "recall_wilson": {
            label: set_wilson(int(confusion[at, at]), int(confusion[at].sum()))
            for at, label in enumerate(labels)
        },
    }
    for name, values in once.items():
        if name == "confusion":
            continue
        if values.ndim == 1:
            found[name] = set_interval(values[0], drawn[name])
        else:
            found[name] = {
                label: set_interval(values[0, at], drawn[name][:, at])
                for at, label in enumerate(labels)
            }
    return found


def describe(predictions: Predictions) -> dict[str, Any]:
    """Return the measures as plain numbers, without intervals; None where undefined."""
    once = measure(predictions, Draws.once(predictions))
    confusion = once.pop("confusion")[0].astype(int)
    found: dict[str, Any] = {"count": int(confusion.sum()), "right": int(confusion.trace())}
    for name, values in once.items():
        plain = [None if np.isnan(value) else float(value) for value in np.atleast_1d(values[0])]
        by_class = values.ndim == 2
        found[name] = dict(zip(predictions.labels, plain, strict=True)) if by_class else plain[0]
    return found | {"confusion": confusion.tolist()}


def describe_both(frames: Predictions) -> dict[str, Any]:
    """Describe frames and exams, each accuracy with its 95 % interval."""
    exams = frames.by_exam()
    of_frames, of_exams = describe(frames), describe(exams)
    draws = Draws.bootstrap(frames)
    drawn = count(frames, draws, draws.find(frames))["accuracy"]
    interval = set_interval(of_frames["accuracy"], drawn)
    of_frames["accuracy_95"] = [interval["low"], interval["high"]]
    of_exams["accuracy_95"] = list(wilson_interval(of_exams["right"], of_exams["count"]))
    return {"patients": len(set(frames.patients)), "frames": of_frames, "exams": of_exams}


def shorten(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what of `describe_both` belongs on a model card; the rest stands in the report."""
    kept = ("count", "accuracy", "accuracy_95", "recall", "macro_f1", "macro_auroc")
    return {
        "patients": metrics["patients"],
        "frames": {key: metrics["frames"][key] for key in kept},
        "exams": {key: metrics["exams"][key] for key in kept},
    }
