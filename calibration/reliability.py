"""How far probabilities are from what they promise."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.calibration.scaling import lose
from neurosono.engine.contracts.arrays import Flags, Floats, Integers
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.exam.interval import bound_share

BINS = 15
"""Bins of confidence (Guo et al. 2017, arXiv 1706.04599, section 2)."""

RESAMPLES = 500
"""The ends of a 95 % interval then stand on 12 resamples each."""

Measured = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """What a measure needs of each frame or exam, `(N,)` each; `weights` count it so many times.

    `even` is its bin of confidence of equal width, `equal` its bin of equal mass.
    """

    confidence: Floats
    right: Flags
    squares: Floats
    losses: Floats
    even: Integers
    equal: Integers
    patient_of: Integers

    @classmethod
    def of(cls, predictions: Predictions) -> "Rows":
        """Return the rows of frames, or of exams."""
        probabilities, targets = predictions.probabilities, predictions.targets
        confidence = probabilities.max(1)
        count = len(confidence)
        order = np.argsort(confidence, kind="stable")
        equal = np.empty(count, dtype=np.int64)
        equal[order] = np.arange(count) * min(BINS, count) // count
        truth = np.eye(len(predictions.labels))[targets]
        return cls(
            confidence,
            probabilities.argmax(1) == targets,
            ((probabilities - truth) ** 2).sum(1),
            lose(probabilities, targets),
            np.minimum((confidence * BINS).astype(np.int64), BINS - 1),
            equal,
            np.unique(predictions.patients, return_inverse=True)[1],
        )

    def measure(self, weights: Floats) -> dict[str, float]:
        """Return ECE, adaptive ECE, Brier score and negative log-likelihood."""
        total = weights.sum()
        return {
            "ece": self._gap(self.even, weights),
            "adaptive_ece": self._gap(self.equal, weights),
            "brier": float((weights * self.squares).sum() / total),
            "nll": float((weights * self.losses).sum() / total),
        }

    def _gap(self, bins: Integers, weights: Floats) -> float:
        gaps = np.bincount(bins, weights=weights * (self.right - self.confidence), minlength=BINS)
        return float(np.abs(gaps).sum() / weights.sum())


def measure_ece(predictions: Predictions) -> float:
    """Return the expected calibration error: mean |accuracy - confidence|, weighted by bin size."""
    return measure(predictions)["ece"]


def measure(predictions: Predictions) -> dict[str, float]:
    """Return ECE, adaptive ECE (bins of equal mass), Brier score (0 to 2) and NLL (nats)."""
    rows = Rows.of(predictions)
    return rows.measure(np.ones(len(rows.confidence)))


def describe(predictions: Predictions, seed: int = 0) -> Measured:
    """Return the measures, each with its 95 % interval (patients drawn with replacement).

    A calibration error cannot be negative, so its interval lies too high where it is small: see
    `expect_ece` for what chance alone leaves.
    """
    rows = Rows.of(predictions)
    rng = np.random.default_rng(seed)
    patients = int(rows.patient_of.max()) + 1
    drawn = rng.multinomial(patients, np.full(patients, 1 / patients), RESAMPLES).astype(float)
    resampled = [rows.measure(weights[rows.patient_of]) for weights in drawn]
    found = rows.measure(np.ones(len(rows.confidence)))
    intervals = {
        f"{name}_95": np.quantile([each[name] for each in resampled], [0.025, 0.975]).tolist()
        for name in found
    }
    return {"count": len(rows.confidence), "accuracy": float(rows.right.mean())} | found | intervals


def expect_ece(exams: Predictions, seed: int = 0) -> dict[str, float]:
    """Return the ECE that exams would show by chance if their probabilities were exactly right.

    Truths are drawn from the probabilities: `mean` over the draws, and what 95 % stay below.
    """
    rng = np.random.default_rng(seed)
    rows = Rows.of(exams)
    top = rows.confidence[None, :]
    right = rng.random((RESAMPLES, top.shape[1])) < top
    gaps = [
        np.abs(np.bincount(rows.even, weights=each, minlength=BINS)).sum() for each in right - top
    ]
    found = np.array(gaps) / top.shape[1]
    return {"mean": float(found.mean()), "p95": float(np.quantile(found, 0.95))}


def draw_diagram(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the reliability diagram: confidence against accuracy in bins of equal mass."""
    rows = Rows.of(predictions)
    found = []
    for each in np.unique(rows.equal):
        inside = rows.equal == each
        count, accuracy = int(inside.sum()), float(rows.right[inside].mean())
        low, high = bound_share(np.array(accuracy), float(count))
        found.append(
            {
                "count": count,
                "confidence": float(rows.confidence[inside].mean()),
                "accuracy": accuracy,
                "accuracy_95": [float(low), float(high)],
            }
        )
    return found
