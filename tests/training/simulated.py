"""Predictions drawn at random, for the tests of what is measured on them."""

from dataclasses import replace

import numpy as np

from neurosono.engine.contracts.predictions import Predictions

LABELS = ("anencephaly", "encephalocele", "holoprosencephaly", "rachischisis", "normal")


def simulate(
    patients: int = 40, frames: int = 6, skill: float = 1.5, seed: int = 0, digits: int = 7
) -> Predictions:
    """Return frames of patients who are each a little harder or easier than the next."""
    rng = np.random.default_rng(seed)
    patient_of = np.arange(patients).repeat(frames)
    targets = patient_of % len(LABELS)
    logits = rng.normal(size=(len(targets), len(LABELS)))
    logits += rng.normal(size=(patients, len(LABELS)))[patient_of]
    logits[np.arange(len(targets)), targets] += skill
    odds = np.exp(logits)
    return Predictions(
        labels=LABELS,
        rows=np.arange(len(targets)),
        folds=np.zeros(len(targets), dtype=np.int64),
        patients=np.array([f"p{number:03d}" for number in patient_of]),
        exams=np.array([f"e{number:03d}" for number in patient_of]),
        targets=targets,
        weeks=np.full(len(targets), 22.0),
        sites=np.full(len(targets), ""),
        probabilities=np.round(odds / odds.sum(1, keepdims=True), digits),
    )


def make_exams(
    targets: list[int], said: list[int], weeks: list[float] | None = None, sure: float = 0.8
) -> Predictions:
    """Return one frame an exam, one exam a patient: `said` gets `sure`, the others the rest."""
    count = len(targets)
    probabilities = np.full((count, len(LABELS)), (1 - sure) / (len(LABELS) - 1))
    probabilities[np.arange(count), said] = sure
    made = simulate(patients=count, frames=1)
    return replace(
        made,
        targets=np.array(targets),
        weeks=made.weeks if weeks is None else np.array(weeks),
        probabilities=probabilities,
    )
