"""Patients drawn with replacement: what the number of patients leaves uncertain.

Frames of one patient are not independent, nor are her exams; patients are.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers, Words
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

RESAMPLES = 1000
"""The ends of a 95 % interval then stand on 25 resamples each."""

Z_95 = 1.959963984540054
"""The normal distribution's two-sided 95 % point."""


@dataclass(frozen=True)
class Draws:
    """R draws from P patients: `weights` `(R, P)` float64 says how often each was drawn.

    `patients` are their pseudonyms, sorted. The same draws serve frames and exams, and two sets of
    predictions of the same patients: their differences are then paired.
    """

    patients: Words
    weights: Floats

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.weights.shape[1] != len(self.patients):
            raise InputError(f"draws must be (R, {len(self.patients)}), found {self.weights.shape}")

    @classmethod
    def once(cls, predictions: Predictions) -> "Draws":
        """Return the one draw that takes every patient once: the measured value itself."""
        patients = np.unique(predictions.patients)
        return cls(patients, np.ones((1, len(patients))))

    @classmethod
    def bootstrap(
        cls, predictions: Predictions, resamples: int = RESAMPLES, seed: int = 0
    ) -> "Draws":
        """Draw as many patients as there are, with replacement, `resamples` times."""
        patients = np.unique(predictions.patients)
        count = len(patients)
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
        return cls(patients, weights.astype(np.float64))

    def find(self, predictions: Predictions) -> Integers:
        """Return the patient's number of each row; raise `InputError` on a patient not drawn."""
        at = np.searchsorted(self.patients, predictions.patients)
        at = np.minimum(at, len(self.patients) - 1)
        if not np.array_equal(self.patients[at], predictions.patients):
            raise InputError("these predictions are of other patients than those drawn")
        return at.astype(np.int64)


def set_interval(value: float, drawn: Floats) -> dict[str, float | None]:
    """Return value and 95 % interval as JSON; None where undefined.

    A resample in which the measure is undefined (no patient of a class was drawn) says nothing of
    it and is left out.
    """
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (math.nan, math.nan)
    return {"value": _or_none(value), "low": _or_none(low), "high": _or_none(high)}


def set_wilson(right: int, total: int) -> dict[str, Any]:
    """Return a proportion with its Wilson interval as JSON, and what it is made of."""
    low, high = wilson_interval(right, total)
    value = right / total if total else None
    return {"value": value, "low": low, "high": high, "right": right, "count": total}


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927); (0, 1) for no trials."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = right / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
