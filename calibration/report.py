"""The report on a calibration: what it does for patients that did not fit it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.calibration.alarms import NORMAL
from neurosono.calibration.bounds import fit_bounds
from neurosono.calibration.exams import replay
from neurosono.calibration.fit import (
    Form,
    Wishes,
    apply,
    choose_form,
    count_own,
    fit_calibration,
    whole,
)
from neurosono.calibration.reliability import describe, draw_diagram, expect_ece, measure
from neurosono.calibration.unseen import Unseen, judge_unseen_patients
from neurosono.engine.contracts.arrays import Flags
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.exam.interval import bound_share

REPEATS = 5
"""Deals of the patients into folds: shares are means over them, so that no single deal decides."""


@dataclass(frozen=True)
class Fitted:
    """A calibration and what it does, `report`, on exams that did not fit it."""

    calibration: Calibration
    report: dict[str, Any]


def fit(frames: Predictions, wishes: Wishes) -> Fitted:
    """Choose a form, fit it on all frames, and check the whole procedure on unseen patients.

    `frames` are uncalibrated, of patients that trained nothing.
    """
    form, contests = choose_form(frames, wishes.method)
    calibration = fit_bounds(fit_calibration(frames, form, wishes), frames, form, wishes)
    exams = whole(replay(frames, calibration), calibration)
    report = {
        "method": form.method,
        "exam_biases": form.exam_biases,
        "contests": {
            name: None if found is None else found.to_json() for name, found in contests.items()
        },
        "false_alarms_wanted": wishes.false_alarms,
        "classes": count_own(frames, wishes.alpha),
        "before": {"frames": measure(frames), "exams": measure(frames.by_exam())},
        "after": {"frames": measure(apply(calibration, frames)), "exams": measure(exams)},
        "calibration": calibration.to_json(),
        "cross_checked": check(frames, form, wishes),
    }
    return Fitted(calibration, report)


def shorten(checked: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what of `check` belongs on a model card; the rest stands in the report."""
    if checked is None:
        return None
    sets, alarm = checked["sets"], checked["alarm"]
    short = {
        f"{level}_ece_{when}": checked[level][when]["ece"]
        for level in ("frames", "exams")
        for when in ("before", "after")
    }
    short |= {name: sets[name] for name in ("coverage", "coverage_95", "mean_size")}
    if alarm is not None:
        names = ("false_alarms", "false_alarms_95", "sensitivity_at_end", "sensitivity_at_end_95")
        short["alarm"] = {name: alarm[name] for name in names}
    return short


def check(frames: Predictions, form: Form, wishes: Wishes) -> dict[str, Any] | None:
    """Fit again and again without some patients, and describe what comes of those.

    None where patients are too few. Reliability is of the first deal, in which every patient is
    judged once; shares of exams are means over all `REPEATS` deals, with Wilson's interval at the
    number of exams.
    """
    found: list[Unseen] = []
    folds = 0
    for seed in range(REPEATS):
        judged = judge_unseen_patients(frames, form, wishes, seed)
        if judged is None:
            return None
        found.append(judged[0])
        folds = judged[1]
    return {
        "folds": folds,
        "repeats": REPEATS,
        **_describe_reliability(frames, found[0]),
        "sets": _describe_sets(found),
        "operating_points": _describe_points(found, wishes),
        "alarm": _describe_alarm(found),
    }


def _describe_reliability(frames: Predictions, first: Unseen) -> dict[str, Any]:
    same = first.exams.probabilities.argmax(1) == first.plain.probabilities.argmax(1)
    return {
        "frames": {"before": describe(frames), "after": describe(first.frames)},
        "exams": {
            "before": describe(frames.by_exam()),
            "mean": describe(first.plain),
            "after": describe(first.exams),
            "expected_ece": expect_ece(first.exams),
            "same_class_as_mean": float(same.mean()),
        },
        "running": {str(used): _describe_running(each) for used, each in first.running.items()},
        "diagrams": {
            "frames_before": draw_diagram(frames),
            "frames_after": draw_diagram(first.frames),
            "exams_mean": draw_diagram(first.plain),
            "exams_after": draw_diagram(first.exams),
        },
    }


def _describe_running(exams: Predictions) -> dict[str, float]:
    found = describe(exams)
    names = ("count", "accuracy", "ece", "ece_95", "nll")
    confidence = float(exams.probabilities.max(1).mean())
    return {name: found[name] for name in names} | {"confidence": confidence}


def _describe_sets(found: list[Unseen]) -> dict[str, Any]:
    """Return coverage and size over all exams and by class."""
    labels = found[0].exams.labels

    def covered(unseen: Unseen) -> Flags:
        sets: Flags = unseen.outcomes["sets"]
        held: Flags = sets[np.arange(len(sets)), unseen.exams.targets]
        return held

    def describe_some(wanted: Callable[[Predictions], Flags]) -> dict[str, Any]:
        sizes = [each.outcomes["sets"].sum(1)[wanted(each.exams)] for each in found]
        single = [size == 1 for size in sizes]
        return _share([covered(each)[wanted(each.exams)] for each in found], "coverage") | {
            "mean_size": float(np.mean([size.mean() for size in sizes])),
            "single": float(np.mean([each.mean() for each in single])),
        }

    by_class = {
        label: describe_some(lambda exams, target=target: exams.targets == target)  # type: ignore[misc]
        for target, label in enumerate(labels)
        if (found[0].exams.targets == target).any()
    }
    return describe_some(lambda exams: exams.targets >= 0) | {"by_class": by_class}


def _describe_points(found: list[Unseen], wishes: Wishes) -> list[dict[str, Any]]:
    """Return sensitivity and specificity at each operating point."""
    if any("called" not in each.outcomes for each in found):
        return []
    normal = found[0].exams.labels.index(NORMAL)
    return [
        {"wanted_sensitivity": wanted}
        | _share(
            [e.outcomes["called"][e.exams.targets != normal, at] for e in found], "sensitivity"
        )
        | _share(
            [~e.outcomes["called"][e.exams.targets == normal, at] for e in found], "specificity"
        )
        for at, wanted in enumerate(wishes.sensitivities)
    ]


def _describe_alarm(found: list[Unseen]) -> dict[str, Any] | None:
    """Return false alarms in normal exams, and what the alarm finds; None without one."""
    if any("sounded" not in each.outcomes for each in found):
        return None
    normal = found[0].exams.labels.index(NORMAL)

    def pick(name: str, healthy: bool) -> list[NDArray[Any]]:
        return [each.outcomes[name][(each.exams.targets == normal) == healthy] for each in found]

    begun = np.concatenate(pick("begun", False))
    return (
        _share(pick("sounded", True), "false_alarms")
        | _share(pick("sounded", False), "sensitivity")
        | _share(pick("sounds", False), "sensitivity_at_end")
        | {"median_begin": None if np.isnan(begun).all() else float(np.nanmedian(begun))}
    )


def _share(parts: list[Flags], name: str) -> dict[str, Any]:
    """Return the mean share, its Wilson interval at the number of exams, and that number."""
    count = len(parts[0])
    share = float(np.mean([part.mean() for part in parts]))
    low, high = bound_share(np.array(share), float(count))
    return {name: share, f"{name}_95": [float(low), float(high)], f"{name}_exams": count}
