"""Operating points for "any anomaly", and an alarm that rarely sounds in normal exams."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurosono.calibration.exams import Trace
from neurosono.engine.contracts.arrays import Flags, Floats
from neurosono.engine.contracts.calibration import Alarm, Calibration, OperatingPoint
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.exam.alarm import AlarmLatch
from neurosono.engine.exam.exam import MIN_EFFECTIVE_FRAMES

NORMAL = "normal"
"""The class whose absence is an anomaly; a bundle without it has no alarm."""

DWELLS = (1.0, 2.0, 3.0, 5.0)
"""Independent frames that an alarm may have to wait, to choose from; never on a single picture of a
moving scan, which is worth less than one."""

LOSES = 0.05
"""Share of the anomalous exams whose alarm may go off again by itself."""

LOWEST_OFF = 0.5
"""Below this chance of any anomaly the exam is likelier normal: no alarm stands there."""

GAP = 0.1
"""`off` is this far below `on`, or further: a chance that trembles must not make the alarm flicker
(design decision)."""


def fit_points(
    scores: Floats, anomalous: Flags, sensitivities: Sequence[float]
) -> tuple[OperatingPoint, ...]:
    """Return the highest threshold that calls a new anomalous exam with each sensitivity.

    `scores` `(E,)` are 1 - p(normal) of whole exams. Of n anomalous exams the
    ceil((n + 1) sensitivity)-th highest score, or the lowest where n is smaller than that.
    """
    for wanted in sensitivities:
        if not 0 < wanted < 1:
            raise InputError(f"--sensitivity must be between 0 and 1, found {wanted}")
    found = np.sort(scores[anomalous])[::-1]
    return tuple(
        OperatingPoint(wanted, float(found[_rank(len(found), wanted) - 1]))
        for wanted in sensitivities
        if len(found)
    )


def _rank(count: int, share: float) -> int:
    return min(count, math.ceil((count + 1) * share - 1e-9))


def fit_alarm(trace: Trace, calibration: Calibration, rate: float) -> Alarm | None:
    """Return the alarm that sounds at any time in at most a share `rate` of normal exams.

    For each dwell, `on` stands just above the highest score that a normal exam held so long: above
    that of the ceil((n + 1)(1 - rate))-th of n normal exams, so a new one sounds with a chance of
    `rate` at most (a conformal bound, for exams like these and as long). The dwell is the one that
    finds the most anomalous exams, and of equals the one that finds them first; that several were
    tried loosens the bound a little, which `calibration.report` measures. None where there are
    fewer than 1 / rate - 1 normal exams, for nothing could then be promised, or no anomalous.
    """
    if not 0 < rate < 1:
        raise InputError(f"--false-alarms must be between 0 and 1, found {rate}")
    if NORMAL not in trace.exams.labels:
        return None
    normal = trace.exams.labels.index(NORMAL)
    scores = 1 - trace.calibrate(calibration)[:, normal]
    runs = [(scores[lines], worth) for lines, worth in _exams(trace, calibration)]
    healthy = [run for run, of in zip(runs, trace.exams.targets, strict=True) if of == normal]
    others = [run for run, of in zip(runs, trace.exams.targets, strict=True) if of != normal]
    rank = math.ceil((len(healthy) + 1) * (1 - rate) - 1e-9)
    if rank > len(healthy) or not others:
        return None
    best: tuple[float, float] | None = None
    chosen = None
    for dwell in DWELLS:
        held = sorted(_hold(score, worth, dwell) for score, worth in healthy)[rank - 1]
        if held >= 1.0:  # a normal exam surely called anomalous: no threshold is above that
            continue
        on = float(np.clip(np.nextafter(held, 2.0), LOWEST_OFF + GAP, 1.0))
        rule = Alarm(NORMAL, on, LOWEST_OFF, dwell)
        sounding = [follow(rule, score, worth) for score, worth in others]
        found = float(np.mean([each[-1] for each in sounding]))
        delay = float(np.mean([(~np.maximum.accumulate(each)).mean() for each in sounding]))
        if best is None or (found, -delay) > best:
            best, chosen = (found, -delay), rule
    return None if chosen is None else _loosen(chosen, others)


def follow(rule: Alarm, scores: Floats, worth: Floats) -> Flags:
    """Return whether the engine's latch is on after each frame of one exam, `(N,)`."""
    latch = AlarmLatch(rule)
    sounding = np.empty(len(scores), dtype=bool)
    for line, (score, each) in enumerate(zip(scores.tolist(), worth.tolist(), strict=True)):
        latch.follow(score, each)
        sounding[line] = latch.on
    return sounding


def follow_all(trace: Trace, calibration: Calibration) -> list[Flags] | None:
    """Return whether the alarm sounds after each frame of each exam; None without an alarm.

    As in the engine, never while the exam is `collecting`.
    """
    rule = calibration.alarm
    if rule is None:
        return None
    scores = 1 - trace.calibrate(calibration)[:, trace.exams.labels.index(rule.label)]
    enough = trace.effective >= MIN_EFFECTIVE_FRAMES
    return [
        follow(rule, scores[lines], worth) & enough[lines]
        for lines, worth in _exams(trace, calibration)
    ]


def _exams(trace: Trace, calibration: Calibration) -> list[tuple[slice, Floats]]:
    """Return each exam's lines and how many independent frames a frame of it is worth."""
    ends = trace.ends + 1
    exam = calibration.exam
    evidence = trace.effective if exam is None else exam.weigh(trace.effective, trace.used)
    worth = evidence / trace.used
    return [
        (slice(start, end), worth[start:end])
        for start, end in zip(np.append(0, ends[:-1]), ends, strict=True)
    ]


def _hold(scores: Floats, worth: Floats, dwell: float) -> float:
    """Return the highest score that an exam held for `dwell` independent frames, 0 for none."""
    need = np.maximum(1, np.ceil(dwell / worth - 1e-9)).astype(np.int64)
    long_enough = np.flatnonzero(need <= np.arange(1, len(scores) + 1))
    held = [float(scores[line + 1 - need[line] : line + 1].min()) for line in long_enough]
    return max(held, default=0.0)


def _loosen(rule: Alarm, others: list[tuple[Floats, Floats]]) -> Alarm:
    """Return the rule with the highest `off` at which few anomalous exams lose their alarm."""
    lowest = []
    for scores, worth in others:
        begun = np.flatnonzero(follow(rule, scores, worth))
        if len(begun):
            lowest.append(float(scores[begun[0] :].min()))
    if not lowest:
        return rule
    off = float(np.quantile(lowest, LOSES, method="lower"))
    return replace(rule, off=float(np.clip(off, LOWEST_OFF, rule.on - GAP)))
