"""One number that makes frame probabilities as sure as they are right."""

import math

import numpy as np

from engine.contracts.calibration import Calibration
from engine.contracts.predictions import Predictions

LOW, HIGH = 0.05, 20.0
"""Limits of the search: a network needs no more than a twentyfold change of its logits."""

STEPS = 60
"""Golden-section steps: the bracket shrinks by 0.618 each, to below 1e-11 of its width."""


def fit_temperature(frames: Predictions) -> float:
    """Return the temperature of the least negative log-likelihood on frames of held-out patients.

    Each exam weighs the same, however many frames it has: the exam is what is asked about. The
    likelihood has one minimum along the logarithm of the temperature (Guo et al. 2017).
    """
    _, exam_of, counts = np.unique(frames.exams, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[exam_of]
    weights /= weights.sum()
    chosen = np.arange(len(frames.targets)), frames.targets

    def cost(log_temperature: float) -> float:
        calibration = Calibration(temperature=math.exp(log_temperature))
        probabilities = calibration.calibrate(frames.probabilities)[chosen]
        return float(-(weights * np.log(np.clip(probabilities, 1e-300, 1))).sum())

    ratio = (math.sqrt(5) - 1) / 2
    low, high = math.log(LOW), math.log(HIGH)
    for _ in range(STEPS):
        span = ratio * (high - low)
        if cost(high - span) < cost(low + span):
            high = low + span
        else:
            low = high - span
    return math.exp((low + high) / 2)
