"""How well scores rank the truth: AUROC and average precision, of many resamples at once.

scikit-learn gives the same numbers, one resample a call; tests hold ours to its.
"""

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Integers


def rank(
    scores: Floats,
    truth: Flags,
    weights: Floats,
    weight_of: Integers,
) -> tuple[Floats, Floats]:
    """Return AUROC and average precision of each resample, each `(R,)` float64 in 0 to 1.

    `scores` and `truth` are `(N,)`; `weights` is `(R, P)`, how often each patient was drawn, and
    `weight_of` `(N,)` names each score's patient. Equal scores are one step of the curves, as in
    scikit-learn. NaN where a resample holds no positive or no negative.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    drawn = weights[:, weight_of[order]]  # (R, N)
    positive = np.cumsum(drawn * truth[order], axis=1)[:, ends]  # (R, steps)
    taken = np.cumsum(drawn, axis=1)[:, ends]
    return _area_under_roc(positive, taken - positive), _average_precision(positive, taken)


def _area_under_roc(positive: Floats, negative: Floats) -> Floats:
    """Sum the trapezia under hits over false alarms, both cumulative and `(R, steps)`."""
    area = negative[:, 0] * positive[:, 0] / 2
    area = area + (np.diff(negative, axis=1) * (positive[:, 1:] + positive[:, :-1]) / 2).sum(1)
    return divide(area, positive[:, -1] * negative[:, -1])


def _average_precision(positive: Floats, taken: Floats) -> Floats:
    """Sum precision times the step in recall; no interpolation (it flatters)."""
    precision = np.nan_to_num(divide(positive, taken))
    steps = np.diff(positive, axis=1, prepend=0.0)
    return divide((steps * precision).sum(1), positive[:, -1])


def divide(part: Floats, whole: Floats) -> Floats:
    """Return `part / whole`, NaN where `whole` is 0: there is nothing to take a share of."""
    share = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=share, where=whole != 0)
    return share
