"""Folds of a gate's data: no patient in two, nor two patients who share a picture."""

from collections import Counter

import numpy as np

from neurosono.engine.contracts.arrays import Integers, Pixels
from neurosono.training.gate.data import GateData

HASH_PX = 16
SAME_BITS = 10
"""Of 256: copies that were compressed or lightly toned again differed in 0 to 6, while the nearest
pictures of two patients differed in 20 and more."""


def group_patients(data: GateData) -> Integers:
    """Return `(N,)` group numbers: frames of one patient, or of one picture under two names."""
    _, group = np.unique([row.patient for row in data.rows], return_inverse=True)
    for one, other in find_copies(data.frames):
        if group[one] != group[other] and data.rows[one].source != "phantom":
            group[group == group[other]] = group[one]
    return np.asarray(group, dtype=np.int64)


def find_copies(frames: Pixels) -> list[tuple[int, int]]:
    """Return pairs of frames that are one picture, by the signs of their neighbouring cells."""
    side = frames.shape[1] // HASH_PX * HASH_PX
    cells = (
        frames[:, :side, :side]
        .reshape(len(frames), HASH_PX, side // HASH_PX, HASH_PX, side // HASH_PX)
        .mean((2, 4))
    )
    bits = (np.diff(cells, axis=2, append=cells[:, :, :1]) > 0.5).reshape(len(frames), -1)
    signs = bits.astype(np.float32) * 2 - 1
    pairs = []
    for at in range(0, len(signs), 512):
        differ = (signs.shape[1] - signs[at : at + 512] @ signs.T) / 2
        ones, others = np.nonzero(differ <= SAME_BITS)
        pairs += [(at + int(a), int(b)) for a, b in zip(ones, others, strict=True) if at + a < b]
    lively = bits.mean(1)  # flat pictures share a hash by being flat
    return [(a, b) for a, b in pairs if min(lively[a], lively[b]) > 0.15]


def deal_folds(data: GateData, folds: int, seed: int = 0) -> Integers:
    """Return `(N,)` fold numbers, patient-disjoint, each source and label spread evenly."""
    from sklearn.model_selection import StratifiedGroupKFold

    names = [f"{row.source}/{row.label}" for row in data.rows]
    counts = Counter(names)
    # A source of fewer frames than folds cannot be spread: it goes with the largest.
    largest = counts.most_common(1)[0][0]
    strata = np.array([name if counts[name] >= folds else largest for name in names])
    group = group_patients(data)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.zeros(len(strata), dtype=np.int64)
    for number, (_, held_out) in enumerate(splitter.split(strata, strata, group)):
        fold[held_out] = number
    return fold
