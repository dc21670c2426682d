"""All of a bundle's calibration from one table of held-out predictions."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calibration.conformal import fit_threshold, measure_coverage
from calibration.reliability import describe
from calibration.temperature import fit_temperature
from engine.contracts.calibration import Calibration
from engine.contracts.errors import InputError
from engine.contracts.predictions import Predictions

CHECKS = 20
"""Random halvings in the cross-check: their mean is then steady to about a tenth of the spread."""


@dataclass(frozen=True)
class Fitted:
    """A calibration and what it does, `report`, on exams that did not fit it."""

    calibration: Calibration
    report: dict[str, Any]


def fit(frames: Predictions, alpha: float) -> Fitted:
    """Fit temperature on frames and the conformal threshold on exams, and cross-check both.

    `frames` are uncalibrated, of patients that trained nothing.
    """
    calibration = fit_calibration(frames, alpha)
    calibrated = apply(calibration, frames)
    report = {
        "before": {"frames": describe(frames), "exams": describe(frames.by_exam())},
        "after": {"frames": describe(calibrated), "exams": describe(calibrated.by_exam())},
        "cross_checked": cross_check(frames, alpha),
    }
    return Fitted(calibration, report)


def fit_calibration(frames: Predictions, alpha: float) -> Calibration:
    """Return temperature and threshold; the threshold on exams of calibrated frames."""
    if not 0 < alpha < 1:
        raise InputError(f"--alpha must be between 0 and 1, found {alpha}")
    temperature = fit_temperature(frames)
    exams = apply(Calibration(temperature), frames).by_exam()
    threshold = fit_threshold(exams, alpha)
    return Calibration(temperature, threshold, alpha, len(exams.targets))


def apply(calibration: Calibration, frames: Predictions) -> Predictions:
    """Return the frames with calibrated probabilities."""
    return frames.with_probabilities(calibration.calibrate(frames.probabilities))


def cross_check(frames: Predictions, alpha: float, seed: int = 0) -> dict[str, Any] | None:
    """Fit on half of the patients, measure on the other half, many times; return the means.

    None where half of the patients are too few for the threshold.
    """
    rng = np.random.default_rng(seed)
    patients = np.unique(frames.patients)
    found = []
    for _ in range(CHECKS):
        chosen = rng.permutation(patients)[: len(patients) // 2]
        inside = np.isin(frames.patients, chosen)
        try:
            calibration = fit_calibration(frames.select(inside), alpha)
        except InputError:
            return None
        found.append(_measure(calibration, frames.select(~inside)))
    return {key: float(np.mean([each[key] for each in found])) for key in found[0]}


def _measure(calibration: Calibration, frames: Predictions) -> dict[str, float]:
    calibrated = apply(calibration, frames)
    exams = calibrated.by_exam()
    threshold = calibration.conformal_threshold
    coverage = measure_coverage(exams, 1.0 if threshold is None else threshold)
    return {
        "temperature": calibration.temperature,
        "frame_ece_before": describe(frames)["ece"],
        "frame_ece_after": describe(calibrated)["ece"],
        "frame_brier_before": describe(frames)["brier"],
        "frame_brier_after": describe(calibrated)["brier"],
        "exam_ece_before": describe(frames.by_exam())["ece"],
        "exam_ece_after": describe(exams)["ece"],
    } | {key: float(value) for key, value in asdict(coverage).items()}
