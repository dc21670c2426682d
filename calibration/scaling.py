"""Calibration of frames: one temperature, or a weight and a bias for each class."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from neurosono.calibration.folds import deal
from neurosono.engine.contracts.arrays import Floats, Integers, Words
from neurosono.engine.contracts.calibration import SMALLEST, Calibration
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

METHODS = ("temperature", "vector")

LOW, HIGH = 0.05, 20.0
"""Limits of the search: a network needs no more than a twentyfold change of its logits."""

CLEARLY = 2.0
"""The method with more numbers is taken where it is better by this many standard errors of the
difference over patients: about one time in forty by chance."""


@dataclass(frozen=True)
class Contest:
    """Two fits compared on patients that fitted neither.

    `simple` and `rich` are their mean negative log-likelihoods over patients, `gain` the first
    minus the second and `gain_error` its standard error; None where patients are too few.
    """

    simple: float
    rich: float
    gain: float
    gain_error: float

    @property
    def rich_wins(self) -> bool:
        """Return whether the fit with more numbers is clearly better."""
        return self.gain > CLEARLY * self.gain_error

    def to_json(self) -> dict[str, Any]:
        """Return the report's object."""
        return asdict(self) | {"rich_wins": self.rich_wins}

    @classmethod
    def hold(
        cls,
        simple: Floats,
        rich: Floats,
        patients: Words,
        weights: Floats,
    ) -> "Contest":
        """Compare the losses of the same rows, `(N,)` each, weighed and summed up by patient."""
        _, patient_of = np.unique(patients, return_inverse=True)
        total = np.bincount(patient_of, weights=weights)
        one, other = (
            np.bincount(patient_of, weights=weights * loss) / total for loss in (simple, rich)
        )
        gains = one - other
        error = float(gains.std(ddof=1) / math.sqrt(len(gains)))
        return cls(float(one.mean()), float(other.mean()), float(gains.mean()), error)


def weigh_exams(exams: Words) -> Floats:
    """Return weights of frames, summing to 1, that give each exam the same: it is what is asked."""
    _, exam_of, counts = np.unique(exams, return_inverse=True, return_counts=True)
    weights: Floats = 1.0 / (counts[exam_of] * len(counts))
    return weights


def fit_scaling(frames: Predictions, method: str) -> Calibration:
    """Return the scaling of the least negative log-likelihood on frames of held-out patients.

    Each exam weighs the same, however many frames it has. Raises `InputError` on another method.
    """
    if method not in METHODS:
        raise InputError(f"--method must be auto or one of {list(METHODS)}, found {method!r}")
    return Calibration(fit_temperature(frames)) if method == "temperature" else fit_vector(frames)


def fit_temperature(frames: Predictions) -> float:
    """Return the temperature; along its logarithm the likelihood has one best (Guo et al. 2017)."""
    weights = weigh_exams(frames.exams)

    def cost(log_temperature: float) -> float:
        found = Calibration(temperature=math.exp(log_temperature)).calibrate(frames.probabilities)
        return float((weights * lose(found, frames.targets)).sum())

    found = minimize_scalar(
        cost, bounds=(math.log(LOW), math.log(HIGH)), method="bounded", options={"xatol": 1e-9}
    )
    return math.exp(float(found.x))


def fit_vector(frames: Predictions) -> Calibration:
    """Return vector scaling: the likelihood has one best, for the model is a linear one."""
    weights, classes = weigh_exams(frames.exams), len(frames.labels)
    logs = np.log(np.clip(frames.probabilities, SMALLEST, 1.0))

    def cost(values: Floats) -> tuple[float, Floats]:
        scaled = Calibration(
            weights=tuple(values[:classes]), biases=tuple(values[classes:])
        ).calibrate(frames.probabilities)
        slope = scaled.copy()
        slope[np.arange(len(slope)), frames.targets] -= 1
        slope *= weights[:, None]
        gradient = np.concatenate([(slope * logs).sum(0), slope.sum(0)])
        return float((weights * lose(scaled, frames.targets)).sum()), gradient

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    limits = [(1 / HIGH, 1 / LOW)] * classes + [(-HIGH, HIGH)] * classes
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=limits).x
    biases = found[classes:] - found[classes:].mean()  # only differences matter
    return Calibration(weights=tuple(map(float, found[:classes])), biases=tuple(map(float, biases)))


def lose(probabilities: Floats, targets: Integers) -> Floats:
    """Return each row's negative log-likelihood of the truth, `(N,)` nats."""
    chosen = probabilities[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.clip(chosen, SMALLEST, 1.0)))


def compare_methods(frames: Predictions) -> Contest | None:
    """Compare temperature and vector scaling on other patients than fitted them.

    None where a class has a single patient.
    """
    folds = deal(frames)
    if folds is None:
        return None
    losses = {method: np.empty(len(frames.rows)) for method in METHODS}
    for fold in np.unique(folds):
        inside, outside = frames.select(folds != fold), folds == fold
        for method, loss in losses.items():
            found = fit_scaling(inside, method).calibrate(frames.probabilities[outside])
            loss[outside] = lose(found, frames.targets[outside])
    simple, rich = (losses[method] for method in METHODS)
    return Contest.hold(simple, rich, frames.patients, weigh_exams(frames.exams))
