"""Bundles of several architectures, trained on the same folds, in one table of two classes.

The columns are those of Megahed et al. 2025 (arXiv 2511.07827): F1, precision, recall, specificity,
accuracy and the area under the ROC curve, of one class against the other. Unlike there, intervals
stand beside them, made by drawing patients, and each difference from the first is paired.
"""

from collections.abc import Sequence
from typing import Any

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.metrics.metrics import measure
from neurosono.training.metrics.resampling import Draws, set_interval

MEASURES = ("f1", "precision", "recall", "specificity", "accuracy", "auroc")

Named = tuple[str, Predictions]
_Values = dict[str, Floats]


def compare(named: Sequence[Named], positive: str) -> dict[str, Any]:
    """Return each one's measures of frames and of exams, and its differences from the first.

    Raises `InputError` where they are of other frames, or not of two classes one of which is
    `positive`.
    """
    if not named:
        raise InputError("nothing to compare: name a bundle or more")
    _check(named, positive)
    found = {
        level: _compare_level([(name, cut(each)) for name, each in named], positive)
        for level, cut in (("frames", lambda p: p), ("exams", Predictions.by_exam))
    }
    return {"positive": positive, **found}


def _check(named: Sequence[Named], positive: str) -> None:
    name, first = named[0]
    if len(first.labels) != 2 or positive not in first.labels:
        raise InputError(
            f"{name} tells {list(first.labels)} apart: compared are two classes, one of which is "
            f"{positive!r}"
        )
    frames = set(zip(first.patients, first.rows, strict=True))
    for other, each in named[1:]:
        if each.labels != first.labels or set(zip(each.patients, each.rows, strict=True)) != frames:
            raise InputError(
                f"{other} judged other frames than {name}: train both on the same cache, all folds"
            )


def _compare_level(named: Sequence[Named], positive: str) -> dict[str, Any]:
    draws = Draws.bootstrap(named[0][1])
    table: dict[str, Any] = {}
    reference: tuple[_Values, _Values] | None = None
    for name, each in named:
        once = _measure_binary(each, Draws.once(each), positive)
        drawn = _measure_binary(each, draws, positive)
        row: dict[str, Any] = {
            key: set_interval(float(once[key][0]), drawn[key]) for key in MEASURES
        }
        if reference is not None:
            row["less_first"] = {
                key: set_interval(
                    float(once[key][0] - reference[0][key][0]), drawn[key] - reference[1][key]
                )
                for key in MEASURES
            }
        reference = reference or (once, drawn)
        table[name] = row | {"count": len(each.targets), "patients": len(draws.patients)}
    return table


def _measure_binary(found: Predictions, draws: Draws, positive: str) -> _Values:
    at = found.labels.index(positive)
    measured = measure(found, draws)
    own = {key: measured[key][:, at] for key in ("f1", "precision", "recall", "auroc")}
    return own | {"specificity": measured["recall"][:, 1 - at], "accuracy": measured["accuracy"]}
