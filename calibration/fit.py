"""All of a bundle's calibration from one table of held-out predictions."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosono.calibration.alarms import NORMAL, fit_alarm, fit_points
from neurosono.calibration.conformal import fit_thresholds
from neurosono.calibration.exams import Trace, compare_biases, fit_exams, replay
from neurosono.calibration.scaling import Contest, compare_methods, fit_scaling
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

AUTO = "auto"


@dataclass(frozen=True)
class Wishes:
    """What is asked of a calibration.

    `alpha` is the share of exams whose prediction set may miss the truth, `false_alarms` the share
    of normal exams in which the alarm may sound, `method` one of `calibration.scaling.METHODS` or
    `auto`.
    """

    alpha: float = 0.1
    method: str = AUTO
    sensitivities: tuple[float, ...] = (0.9, 0.95, 0.99)
    false_alarms: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise InputError(f"--alpha must be between 0 and 1, found {self.alpha}")


@dataclass(frozen=True)
class Form:
    """Which numbers a calibration has: chosen once, by comparing on other patients."""

    method: str
    exam_biases: bool


def choose_form(frames: Predictions, method: str) -> tuple[Form, dict[str, Contest | None]]:
    """Choose the form with more numbers only where it is clearly better on other patients."""
    contest = compare_methods(frames) if method == AUTO else None
    if method == AUTO:
        method = "vector" if contest is not None and contest.rich_wins else "temperature"
    biases = compare_biases(replay(frames, fit_scaling(frames, method)))
    form = Form(method, biases is not None and biases.rich_wins)
    return form, {"vector_over_temperature": contest, "exam_biases": biases}


def fit_calibration(frames: Predictions, form: Form, wishes: Wishes) -> Calibration:
    """Fit everything, step by step: frames, exams, sets, operating points, alarm.

    `frames` are uncalibrated, of patients that trained nothing.
    """
    scaling = fit_scaling(frames, form.method)
    trace = replay(frames, scaling)
    found = replace(
        scaling,
        exam=fit_exams(trace, form.exam_biases),
        alpha=wishes.alpha,
        exams=len(trace.exams.targets),
    )
    exams = whole(trace, found)
    thresholds = fit_thresholds(exams, wishes.alpha)
    found = replace(
        found, conformal_threshold=thresholds.pooled, class_thresholds=thresholds.by_class
    )
    if NORMAL not in frames.labels:
        return found
    normal = frames.labels.index(NORMAL)
    anomalous = exams.targets != normal
    return replace(
        found,
        operating_points=fit_points(
            1 - exams.probabilities[:, normal], anomalous, wishes.sensitivities
        ),
        alarm=fit_alarm(trace, found, wishes.false_alarms),
    )


def apply(calibration: Calibration, frames: Predictions) -> Predictions:
    """Return the frames with calibrated probabilities."""
    return frames.with_probabilities(calibration.calibrate(frames.probabilities))


def whole(trace: Trace, calibration: Calibration) -> Predictions:
    """Return whole exams with calibrated exam probabilities."""
    return trace.exams.with_probabilities(trace.calibrate(calibration)[trace.ends])


def count_own(frames: Predictions, alpha: float) -> dict[str, Any]:
    """Return how many exams each class has, and whether they suffice for its own threshold."""
    exams = frames.by_exam()
    own = fit_thresholds(exams, alpha).own
    counts = np.bincount(exams.targets, minlength=len(frames.labels))
    return {
        label: {"exams": int(count), "own_threshold": has}
        for label, count, has in zip(frames.labels, counts, own, strict=True)
    }
