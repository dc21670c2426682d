"""What an engine of low precision costs in calibration, beside what `engine.parity` compares."""

import numpy as np

from neurosono.calibration.conformal import choose_sets
from neurosono.calibration.exams import replay
from neurosono.calibration.fit import apply, whole
from neurosono.calibration.reliability import measure
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.parity import LIMITS, EngineParity, compare_answers


def compare(reference: Predictions, found: Predictions) -> EngineParity:
    """Compare two engines' predictions of the same frames of patients that quantised nothing."""
    exact, other = (
        each.probabilities[:, None, :].astype(np.float32) for each in (reference, found)
    )
    return compare_answers(exact, other, np.unique(reference.exams, return_inverse=True)[1])


def measure_cost(
    reference: Predictions, found: Predictions, calibration: Calibration
) -> dict[str, float]:
    """Return what the engine costs in calibration: each measure of it and of float32 (`_f32`).

    Both run through the bundle's calibration and the engine's running exam. `mean_difference` is of
    frame probabilities, `exam_difference` the largest of an exam's, both calibrated; `same_set` is
    the share of exams with equal prediction sets.
    """
    scored: dict[str, float] = {}
    sets, frames, exams = [], [], []
    for suffix, each in (("", found), ("_f32", reference)):
        frames.append(apply(calibration, each))
        exams.append(whole(replay(each, calibration), calibration))
        sets.append(choose_sets(calibration, exams[-1].probabilities))
        for level, predictions in (("frame", frames[-1]), ("exam", exams[-1])):
            measured = measure(predictions)
            scored |= {f"{level}_{name}{suffix}": measured[name] for name in ("ece", "nll")}
        held = sets[-1][np.arange(len(sets[-1])), exams[-1].targets]
        scored |= {f"coverage{suffix}": held.mean(), f"set_size{suffix}": sets[-1].sum(1).mean()}
    scored["mean_difference"] = np.abs(frames[0].probabilities - frames[1].probabilities).mean()
    scored["exam_difference"] = np.abs(exams[0].probabilities - exams[1].probabilities).max()
    scored["same_set"] = (sets[0] == sets[1]).all(axis=1).mean()
    return {name: round(float(value), 6) for name, value in sorted(scored.items())}


def describe_limits(precision: str) -> dict[str, float]:
    """Return the limits as they stand in the manifest beside what was measured."""
    limits = LIMITS[precision]
    return {
        "limit_max_difference": limits.max_difference,
        "limit_top1_agreement": limits.top1_agreement,
        "limit_exam_agreement": 1.0,
    }
