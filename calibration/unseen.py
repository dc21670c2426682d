"""Exams judged by a calibration that was fitted without their patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.calibration.alarms import NORMAL, follow_all
from neurosono.calibration.conformal import choose_sets
from neurosono.calibration.exams import Trace, replay
from neurosono.calibration.fit import Form, Wishes, apply, fit_calibration, whole
from neurosono.calibration.folds import deal
from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

EARLY = (1, 2, 4, 8, 16, 32, 64)
"""Used frames after which the running number is looked at."""


@dataclass(frozen=True)
class Unseen:
    """Every patient judged once, by a calibration fitted on the others.

    `frames` and `exams` are calibrated, `plain` the exams with the mean of calibrated frames;
    `running` the exams as they stood after `EARLY` frames, of those that got there. `outcomes` has
    a line an exam: `sets` `(E, C)` bool, `called` `(E, P)` whether at each operating point, and,
    where every part has an alarm, `sounded` whether it ever did, `sounds` whether at the end, and
    `begun` after which share of the frames it began (NaN: never).
    """

    frames: Predictions
    plain: Predictions
    exams: Predictions
    running: dict[int, Predictions]
    outcomes: dict[str, NDArray[Any]]


def judge_unseen_patients(
    frames: Predictions, form: Form, wishes: Wishes, seed: int
) -> tuple[Unseen, int] | None:
    """Deal the patients into folds, judge each fold by the others; also returns how many folds.

    None where patients are too few to be dealt, or for thresholds once a fold is left out.
    """
    folds = deal(frames, seed)
    if folds is None:
        return None
    try:
        parts = [
            _judge(frames.select(folds != fold), frames.select(folds == fold), form, wishes)
            for fold in np.unique(folds)
        ]
    except InputError:
        return None
    return _join(parts), len(parts)


def _judge(inside: Predictions, outside: Predictions, form: Form, wishes: Wishes) -> Unseen:
    calibration = fit_calibration(inside, form, wishes)
    trace = replay(outside, calibration)
    exams = whole(trace, calibration)
    outcomes: dict[str, NDArray[Any]] = {"sets": choose_sets(calibration, exams.probabilities)}
    if NORMAL in exams.labels:
        scores = 1 - exams.probabilities[:, exams.labels.index(NORMAL)]
        thresholds = [point.threshold for point in calibration.operating_points]
        outcomes["called"] = scores[:, None] >= np.array(thresholds)
    alarms = follow_all(trace, calibration)
    if alarms is not None:
        outcomes["sounded"] = np.array([each.any() for each in alarms])
        outcomes["sounds"] = np.array([each[-1] for each in alarms])
        outcomes["begun"] = np.array(
            [each.argmax() / len(each) if each.any() else np.nan for each in alarms]
        )
    running = _cut(trace, trace.calibrate(calibration))
    return Unseen(apply(calibration, outside), trace.exams, exams, running, outcomes)


def _cut(trace: Trace, probabilities: Floats) -> dict[int, Predictions]:
    found = {}
    for used in EARLY:
        lines = np.flatnonzero(trace.used == used)
        if len(lines):
            reached = np.isin(np.arange(len(trace.exams.rows)), trace.exam_of[lines])
            found[used] = trace.exams.select(reached).with_probabilities(probabilities[lines])
    return found


def _join(parts: Sequence[Unseen]) -> Unseen:
    reached = sorted({used for part in parts for used in part.running})
    names = set.intersection(*(set(part.outcomes) for part in parts))
    return Unseen(
        Predictions.join([part.frames for part in parts]),
        Predictions.join([part.plain for part in parts]),
        Predictions.join([part.exams for part in parts]),
        {
            used: Predictions.join([p.running[used] for p in parts if used in p.running])
            for used in reached
        },
        {name: np.concatenate([part.outcomes[name] for part in parts]) for name in names},
    )
