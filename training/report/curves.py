"""Precision-recall and ROC curves as lists of points, few enough for a page."""

from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.predictions import Predictions

POINTS = 200
"""Points kept of a curve: at 400 px wide more cannot be seen."""


def trace_curves(predictions: Predictions) -> dict[str, Any]:
    """Return each class' curves, one against the rest; a class without both sides has none."""
    found: dict[str, Any] = {}
    for number, label in enumerate(predictions.labels):
        truth, scores = predictions.targets == number, predictions.probabilities[:, number]
        if truth.all() or not truth.any():
            continue
        precision, recall, _ = precision_recall_curve(truth, scores)
        false_alarms, hits, _ = roc_curve(truth, scores)
        found[label] = {
            "pr": {"recall": _thin(recall), "precision": _thin(precision)},
            "roc": {"false_positive_rate": _thin(false_alarms), "true_positive_rate": _thin(hits)},
        }
    return found


def _thin(values: Floats) -> list[float]:
    at = np.unique(np.linspace(0, len(values) - 1, min(POINTS, len(values))).round().astype(int))
    return [round(float(value), 5) for value in values[at]]
