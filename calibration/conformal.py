"""Prediction sets of whole exams that hold the truth as often as promised, class by class."""

import math
from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions


@dataclass(frozen=True)
class Thresholds:
    """What a set needs: `pooled` over all exams, and `by_class`, () where no class has its own.

    `own` says which classes had exams enough for a threshold of their own; the others have the
    pooled one.
    """

    pooled: float
    by_class: tuple[float, ...]
    own: tuple[bool, ...]


def fit_thresholds(exams: Predictions, alpha: float) -> Thresholds:
    """Return the thresholds t: a set holds each class of probability 1 - t or more.

    Split conformal prediction with the score 1 - p(truth) (least ambiguous sets: Sadinle, Lei and
    Wasserman 2019), on calibrated probabilities of exams that trained nothing: the
    ceil((n + 1)(1 - alpha))-th smallest score, so a new exam of the same kind is missed with a
    chance of alpha at most; taken over each class's own exams (Mondrian prediction: Vovk 2012) that
    holds within each class, however rare. A class with fewer exams than that rank, 1 / alpha - 1
    at least, gets the pooled threshold. No threshold is below alpha: a class as likely as 1 - alpha
    is kept, even where all exams of it were likelier; that can only add classes. Raises
    `InputError` where all exams are too few.
    """
    count, classes = len(exams.targets), len(exams.labels)
    scores = 1 - exams.probabilities[np.arange(count), exams.targets]
    pooled = _take_rank(scores, alpha)
    if pooled is None:
        need = math.ceil(1 / alpha) - 1
        raise InputError(
            f"prediction sets that miss {alpha:.0%} need {need} held-out exams or more, found "
            f"{count}: hold out more patients, or give a larger --alpha"
        )
    found = [_take_rank(scores[exams.targets == target], alpha) for target in range(classes)]
    own = tuple(value is not None for value in found)
    by_class = tuple(pooled if value is None else value for value in found)
    return Thresholds(pooled, by_class if any(own) else (), own)


def _take_rank(scores: Floats, alpha: float) -> float | None:
    # 1e-9: 20 * 0.95 must not become 19.000000000000004
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    return None if rank > len(scores) else float(np.clip(np.sort(scores)[rank - 1], alpha, 1))


def choose_sets(calibration: Calibration, exams: Floats) -> Flags:
    """Return the sets that the engine shows of exam probabilities `(E, C)`: none is empty."""
    found = calibration.choose(exams)
    sets = np.ones(exams.shape, dtype=bool) if found is None else found.copy()
    empty = np.flatnonzero(~sets.any(axis=1))
    sets[empty, exams[empty].argmax(axis=1)] = True
    return sets
