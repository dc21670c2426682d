"""The interval of an exam's calibrated probability: what came of such numbers on other patients."""

from dataclasses import replace

import numpy as np

from neurosono.calibration.fit import Form, Wishes
from neurosono.calibration.unseen import judge_unseen_patients
from neurosono.engine.contracts.arrays import Floats, Words
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.exam.interval import bound_share

EDGES = np.array([0.0, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.995, 1.0])
"""Bins of probability, narrow at the ends, where most exams are."""

LEAST_EXAMS = 20
"""Of a bin; one with fewer is put together with its neighbours. Wilson's interval of 20 that all
came true is 84 to 100 %."""


def fit_bounds(
    calibration: Calibration, frames: Predictions, form: Form, wishes: Wishes
) -> Calibration:
    """Return the calibration with bounds by patients left out; as it was where they are too few.

    Every patient's exams are judged, whole and on their way, by a calibration of the others. Of
    each class's probability in a bin, the share that were of the class is bounded by Wilson at the
    number of exams in it: an exam's own numbers are not independent.
    """
    judged = judge_unseen_patients(frames, form, wishes, seed=0)
    if judged is None or calibration.exam is None:
        return calibration
    unseen = judged[0]
    parts = [unseen.exams, *(each for used, each in unseen.running.items() if used > 2)]
    classes = len(frames.labels)
    chances = np.concatenate([part.probabilities.ravel() for part in parts])
    hits = np.concatenate([np.eye(classes)[part.targets].ravel() for part in parts])
    exams = np.concatenate([np.repeat(part.exams, classes) for part in parts])
    return replace(
        calibration, exam=replace(calibration.exam, bounds=tabulate(chances, hits, exams))
    )


def tabulate(chances: Floats, hits: Floats, exams: Words) -> tuple[tuple[float, float, float], ...]:
    """Return ascending rows of probability, low and high, of `(N,)` chances that came true or not.

    () where there are not enough exams for two bins.
    """
    bins = np.clip(np.searchsorted(EDGES, chances, side="right") - 1, 0, len(EDGES) - 2)
    rows, held = [], np.zeros(len(chances), dtype=bool)
    for number in range(len(EDGES) - 1):
        held |= bins == number
        if len(np.unique(exams[held])) < LEAST_EXAMS:
            continue
        rows.append(_describe(chances[held], hits[held], exams[held]))
        held = np.zeros(len(chances), dtype=bool)
    if held.any() and rows:  # what is left at the upper end goes with the bins below it
        order = np.argsort(-chances, kind="stable")
        _, first = np.unique(exams[order], return_index=True)
        if len(first) >= LEAST_EXAMS:
            top = order[: np.sort(first)[LEAST_EXAMS - 1] + 1]
            rows.append(_describe(chances[top], hits[top], exams[top]))
    if len(rows) < 2:
        return ()
    table = np.array(rows)
    table = np.maximum.accumulate(table[np.argsort(table[:, 0], kind="stable")], axis=0)
    return tuple((float(at), float(low), float(high)) for at, low, high in table)


def _describe(chances: Floats, hits: Floats, exams: Words) -> tuple[float, float, float]:
    low, high = bound_share(np.array(hits.mean()), float(len(np.unique(exams))))
    return float(chances.mean()), float(low), float(high)
