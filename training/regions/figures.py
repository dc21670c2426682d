"""How good verdicts on pairs are: AUC, sensitivity, specificity and F1, with intervals over women.

A woman who is not judged, because a plane is missing or unfamiliar, is counted as such and in no
other figure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats
from neurosono.training.metrics.ranking import divide, rank
from neurosono.training.metrics.resampling import RESAMPLES, set_interval, set_wilson
from neurosono.training.regions.run import Judged


def measure(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the figures of women of whom it is known, as JSON; 0 is the operating point.

    `missed` are the judged abnormal women called normal, by what was drawn.
    """
    known = [each for each in judged if each.abnormal is not None and each.lean is not None]
    lean = np.array([each.lean for each in known], np.float64)
    truth = np.array([bool(each.abnormal) for each in known], np.bool_)
    once, drawn = np.ones((1, len(known))), draw_women(truth)
    values, resampled = _measure(lean, truth, once), _measure(lean, truth, drawn)
    called = lean >= 0
    found: dict[str, Any] = {
        "women": len(judged),
        "normal": sum(each.abnormal is False for each in judged),
        "abnormal": sum(each.abnormal is True for each in judged),
        "not_judged": sum(each.lean is None for each in judged),
        "sensitivity_wilson": set_wilson(int((called & truth).sum()), int(truth.sum())),
        "specificity_wilson": set_wilson(int((~called & ~truth).sum()), int((~truth).sum())),
        "missed": count_missed(known),
    }
    for name, value in values.items():
        found[name] = set_interval(float(value[0]), resampled[name])
    return found


def count_missed(known: Sequence[Judged]) -> dict[str, list[int]]:
    """Return of each finding how many women have it, and how many of them were called normal."""
    found: dict[str, list[int]] = {}
    for each in known:
        if each.abnormal and each.lean is not None:
            line = found.setdefault(each.finding, [0, 0])
            line[0] += 1
            line[1] += each.lean < 0
    return dict(sorted(found.items()))


def draw_women(truth: Flags, seed: int = 0) -> Floats:
    """Return how often each woman is drawn, (R, N): normal and abnormal ones each for themselves.

    So that no resample is without either kind.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((RESAMPLES, len(truth)))
    for kind in (False, True):
        at = np.flatnonzero(truth == kind)
        if len(at):
            weights[:, at] = rng.multinomial(len(at), np.full(len(at), 1 / len(at)), RESAMPLES)
    return weights


def _measure(lean: Floats, truth: Flags, weights: Floats) -> dict[str, Floats]:
    called = lean >= 0
    if len(lean):
        auc, _ = rank(lean, truth, weights, np.arange(len(lean)))
    else:
        auc = np.full(len(weights), np.nan)
    hits, alarms = weights @ (called & truth), weights @ (called & ~truth)
    ill, well = weights @ truth, weights @ ~truth
    return {
        "auc": auc,
        "sensitivity": divide(hits, ill),
        "specificity": 1 - divide(alarms, well),
        "f1": divide(2 * hits, hits + alarms + ill),
        "accuracy": divide(hits + well - alarms, ill + well),
    }
