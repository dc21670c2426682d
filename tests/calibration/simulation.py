"""Exams whose probabilities are honest by construction: the truth is drawn from them."""

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.predictions import Predictions

LABELS = ("a", "b", "c")


def table(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64], exams: NDArray[np.generic]
) -> Predictions:
    """Return predictions of these frames; every exam is another patient."""
    count = len(targets)
    names = np.array([f"exam-{exam}" for exam in exams])
    return Predictions(
        labels=LABELS[: probabilities.shape[1]],
        rows=np.arange(count),
        folds=np.zeros(count, dtype=np.int64),
        patients=names,
        exams=names,
        targets=np.asarray(targets, dtype=np.int64),
        weeks=np.full(count, np.nan),
        sites=np.full(count, ""),
        probabilities=probabilities,
    )


def simulate(exams: int, frames: int, sharpness: float, seed: int = 0) -> Predictions:
    """Draw exams of one probability each, seen in all their frames, and truths from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (exams, 3))
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(1, keepdims=True)
    targets = np.array([rng.choice(3, p=row) for row in probabilities])
    each = np.repeat(np.arange(exams), frames)
    return table(probabilities[each], targets[each], each)
