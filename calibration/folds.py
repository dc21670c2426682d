"""Patients dealt into folds, so that nothing is measured on those that it was fitted on."""

import numpy as np

from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.predictions import Predictions

FOLDS = 10
"""Nine tenths of the patients still fit nearly what all of them would: a calibration has few
numbers."""


def deal(frames: Predictions, seed: int = 0, folds: int = FOLDS) -> Integers | None:
    """Return the fold of each frame, `(N,)`; each class's patients are spread evenly.

    Fewer folds than asked for where a class has fewer patients; None where one has a single one.
    """
    rng = np.random.default_rng(seed)
    names, first, patient_of = np.unique(frames.patients, return_index=True, return_inverse=True)
    targets = frames.targets[first]
    counts = np.bincount(targets)
    folds = min(folds, int(counts[counts > 0].min()))
    if folds < 2:
        return None
    dealt = np.empty(len(names), dtype=np.int64)
    at = 0
    for target in np.unique(targets):
        mine = rng.permutation(np.flatnonzero(targets == target))
        dealt[mine] = (at + np.arange(len(mine))) % folds
        at += len(mine)  # the next class goes on where this one ended: folds of equal size
    return dealt[patient_of]
