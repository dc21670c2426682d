"""What an ensemble says of the frames of a cache, in training and in calibration."""

from collections.abc import Callable, Sequence

import numpy as np

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

BATCH = 64
"""Frames read at a time: 3 MB of pixels; a picture's answer does not depend on the others."""


def judge(
    backend: Backend,
    cache: Cache,
    rows: Integers,
    *,
    fold: int,
    salt: str,
    watch: Callable[[int], None] = lambda _: None,
) -> Predictions:
    """Judge `rows` of a cache: the mean of the members' probabilities.

    `fold` and `salt` (the digest of the training cache) go into the predictions' columns; `watch`
    hears how many frames were done.
    """
    parts = []
    for at in range(0, len(rows), BATCH):
        some = rows[at : at + BATCH]
        answer = backend.infer(np.asarray(cache.frames[some]))
        parts.append(answer.probabilities.astype(np.float64).mean(axis=1))
        watch(len(some))
    return name_rows(cache, rows, np.concatenate(parts), fold=fold, salt=salt)


def name_rows(
    cache: Cache,
    rows: Integers,
    probabilities: Floats,
    *,
    fold: int,
    salt: str,
) -> Predictions:
    """Return what was said of `rows` of a cache, `(N, C)`, with whose they are and their truth."""
    found = [cache.rows[row] for row in rows]
    return Predictions(
        labels=cache.labels,
        rows=rows,
        folds=np.full(len(rows), fold, dtype=np.int64),
        patients=np.array([pseudonym(row.patient, salt) for row in found]),
        exams=np.array([pseudonym(f"{row.patient}/{row.exam}", salt) for row in found]),
        targets=cache.targets[rows],
        weeks=np.array(
            [np.nan if row.gestational_weeks is None else row.gestational_weeks for row in found]
        ),
        sites=np.array([row.site for row in found], dtype=np.str_),
        probabilities=probabilities,
    )


def salt_of(bundle: Bundle) -> str:
    """Return what the bundle's pseudonyms are salted with: the digest of its training data."""
    return str(bundle.manifest.card.get("training_data", {}).get("digest", ""))


def check_fits(bundle: Bundle, cache: Cache) -> None:
    """Raise `InputError` if a cache has other labels or preprocessing than the bundle."""
    if (cache.labels, cache.spec) != (bundle.manifest.labels, bundle.manifest.preprocessing):
        raise InputError(
            f"cache {cache.root} has other labels or preprocessing than bundle {bundle.root}: "
            "make it again with `neurosono train prepare`"
        )


def check_unseen(cache: Cache, salt: str, patients_seen: Sequence[str]) -> None:
    """Raise `InputError` if a patient of `cache` is among `patients_seen` (pseudonyms).

    What a model says of patients it was trained on says nothing of others.
    """
    known = frozenset(patients_seen)
    seen = [name for name in cache.label_of_patient if pseudonym(name, salt) in known]
    if seen:
        paths = sorted({row.path for row in cache.rows if row.patient == seen[0]})
        raise InputError(
            f"{len(seen)} patients of this cache were trained on, e.g. the one of {paths[0]}: "
            "judge patients that the model has not seen"
        )
