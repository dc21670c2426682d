"""Prediction sets of whole exams that hold the truth as often as promised."""

import math
from dataclasses import dataclass

import numpy as np

from engine.contracts.errors import InputError
from engine.contracts.predictions import Predictions


@dataclass(frozen=True)
class Coverage:
    """What prediction sets did on exams: share that held the truth, and mean classes in a set."""

    exams: int
    covered: float
    mean_size: float
    empty: int


def fit_threshold(exams: Predictions, alpha: float) -> float:
    """Return the threshold t: a set holds each class of probability 1 - t or more.

    Split conformal prediction with the score 1 - p(truth) (least ambiguous sets: Sadinle, Lei and
    Wasserman 2019), on calibrated probabilities of exams that trained nothing: the
    ceil((n + 1)(1 - alpha))-th smallest score, so a new exam of the same kind is missed with a
    chance of alpha at most. Raises `InputError` where n is too small for that rank to exist.
    """
    count = len(exams.targets)
    rank = math.ceil((count + 1) * (1 - alpha))
    if rank > count:
        need = math.ceil(1 / alpha) - 1
        raise InputError(
            f"prediction sets that miss {alpha:.0%} need {need} held-out exams or more, found "
            f"{count}: hold out more patients, or give a larger --alpha"
        )
    scores = 1 - exams.probabilities[np.arange(count), exams.targets]
    return float(np.clip(np.sort(scores)[rank - 1], 0, 1))


def measure_coverage(exams: Predictions, threshold: float) -> Coverage:
    """Return what sets at `threshold` do on these exams, which must not have fitted it."""
    sets = exams.probabilities >= 1 - threshold
    count = len(exams.targets)
    return Coverage(
        exams=count,
        covered=float(sets[np.arange(count), exams.targets].mean()),
        mean_size=float(sets.sum(1).mean()),
        empty=int((sets.sum(1) == 0).sum()),
    )
