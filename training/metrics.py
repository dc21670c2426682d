"""How good predictions are, with the uncertainty that the number of patients leaves."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.contracts.predictions import Predictions

Z_95 = 1.959963984540054
"""The normal distribution's two-sided 95 % point."""

RESAMPLES = 1000
"""Bootstrap resamples: the ends of a 95 % interval then stand on 25 of them each."""


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927); (0, 1) for no trials."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = right / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_accuracy(predictions: Predictions, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of frame accuracy, patients drawn with replacement.

    Frames of one patient are not independent; patients are.
    """
    right = predictions.probabilities.argmax(1) == predictions.targets
    _, patient_of = np.unique(predictions.patients, return_inverse=True)
    right_by_patient = np.bincount(patient_of, weights=right)
    frames_by_patient = np.bincount(patient_of)
    rng = np.random.default_rng(seed)
    count = len(frames_by_patient)
    drawn = rng.integers(count, size=(RESAMPLES, count))
    shares = right_by_patient[drawn].sum(1) / frames_by_patient[drawn].sum(1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def confusion_matrix(predictions: Predictions) -> NDArray[np.int64]:
    """Return `(C, C)` counts, rows the truth, columns the prediction."""
    classes = len(predictions.labels)
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (predictions.targets, predictions.probabilities.argmax(1)), 1)
    return matrix


def describe(predictions: Predictions) -> dict[str, Any]:
    """Return accuracy, recall and precision of each class, their macro F1, and the confusions."""
    matrix = confusion_matrix(predictions)
    right, total = int(matrix.trace()), int(matrix.sum())
    recall = _share(matrix.diagonal(), matrix.sum(1))
    precision = _share(matrix.diagonal(), matrix.sum(0))
    f1 = _share(2 * matrix.diagonal(), matrix.sum(0) + matrix.sum(1))
    labels = predictions.labels
    return {
        "count": total,
        "right": right,
        "accuracy": right / total,
        "recall": dict(zip(labels, recall, strict=True)),
        "precision": dict(zip(labels, precision, strict=True)),
        "macro_f1": float(np.mean([value or 0.0 for value in f1])),
        "confusion": matrix.tolist(),
    }


def describe_both(frames: Predictions) -> dict[str, Any]:
    """Describe frames and exams, each accuracy with its 95 % interval."""
    exams = frames.by_exam()
    of_frames, of_exams = describe(frames), describe(exams)
    of_frames["accuracy_95"] = list(bootstrap_accuracy(frames))
    of_exams["accuracy_95"] = list(wilson_interval(of_exams["right"], of_exams["count"]))
    return {"patients": len(set(frames.patients)), "frames": of_frames, "exams": of_exams}


def shorten(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what of `describe_both` belongs on a model card; the rest stands in the report."""
    kept = ("count", "accuracy", "accuracy_95", "recall", "macro_f1")
    return {
        "patients": metrics["patients"],
        "frames": {key: metrics["frames"][key] for key in kept},
        "exams": {key: metrics["exams"][key] for key in kept},
    }


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[float | None]:
    return [float(p / w) if w else None for p, w in zip(part, whole, strict=True)]
