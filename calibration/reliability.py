"""How far probabilities are from what they promise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.contracts.predictions import Predictions

BINS = 15
"""Bins of confidence (Guo et al. 2017, arXiv 1706.04599, section 2)."""


def measure_ece(predictions: Predictions, bins: int = BINS) -> float:
    """Return the expected calibration error: mean |accuracy - confidence|, weighted by bin size."""
    confidence = predictions.probabilities.max(1)
    right = predictions.probabilities.argmax(1) == predictions.targets
    of_bin = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(of_bin, minlength=bins)
    gaps = np.bincount(of_bin, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())


def measure_brier(predictions: Predictions) -> float:
    """Return the Brier score: mean squared distance to the truth over all classes, 0 to 2."""
    truth = np.eye(len(predictions.labels))[predictions.targets]
    return float(((predictions.probabilities - truth) ** 2).sum(1).mean())


def measure_nll(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of the truth, nats."""
    chosen = probabilities[np.arange(len(targets)), targets]
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())


def describe(predictions: Predictions) -> dict[str, Any]:
    """Return ECE, Brier score and negative log-likelihood."""
    return {
        "count": len(predictions.targets),
        "ece": measure_ece(predictions),
        "brier": measure_brier(predictions),
        "nll": measure_nll(predictions.probabilities, predictions.targets),
    }
