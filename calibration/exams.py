"""Calibration of exams: from the running mean to probabilities that mean what they say."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from neurosono.calibration.folds import deal
from neurosono.calibration.scaling import HIGH, Contest, lose
from neurosono.engine.contracts.arrays import Flags, Floats, Integers
from neurosono.engine.contracts.calibration import Calibration, ExamCalibration
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.exam.exam import Exam

WHOLE = 0.5
"""Share of an exam's weight that its end has in the fit; the running numbers on the way there share
the rest. The end is what is reported, the way is what is looked at (design decision)."""

PREFIXES = 32
"""Running numbers of one exam that enter the fit, evenly spread: neighbours are nearly the same."""

PAIRS = 20.0
"""Pairs of the cohort's correlation that an exam's own is mixed with: the error of a lag-one
correlation over 20 pairs is 0.2. On the demo's held-out patients the negative log-likelihood of
exams and prefixes is 0.137 without, 0.108 with 5, 0.101 with 20 and 0.100 with 80."""

STEEPEST = 5.0
"""Limit of intercept and slope: a fit that runs to it has nothing left to learn from."""

HIGHEST_CORRELATION = 0.95

MOST = 1e6
"""While fitting, evidence has no upper limit; then the largest that was seen."""


@dataclass(frozen=True)
class Trace:
    """Exams as the engine saw them grow: a line a used frame, in the order of `exams`.

    `exams` are whole, with the plain mean; `exam_of` `(N,)` says which one a line is of, `means`
    `(N, C)` and `effective` `(N,)` what `engine.exam` made of it so far, `used` `(N,)` how many
    frames that were.
    """

    exams: Predictions
    exam_of: Integers
    means: Floats
    effective: Floats
    used: Integers

    @property
    def ends(self) -> Integers:
        """Return each exam's last line, `(E,)`."""
        return np.flatnonzero(np.append(np.diff(self.exam_of) > 0, True))

    @property
    def targets(self) -> Integers:
        """Return each line's truth, `(N,)`."""
        return self.exams.targets[self.exam_of]

    def calibrate(self, calibration: Calibration) -> Floats:
        """Return each line's exam probabilities, `(N, C)`."""
        exam = calibration.exam
        return self.means if exam is None else exam.calibrate(self.means, self.effective, self.used)

    def select(self, wanted: Flags) -> "Trace":
        """Return the exams where `wanted`, `(E,)`, is true."""
        lines = wanted[self.exam_of]
        renumbered = np.cumsum(wanted) - 1
        return Trace(
            exams=self.exams.select(wanted),
            exam_of=renumbered[self.exam_of[lines]],
            means=self.means[lines],
            effective=self.effective[lines],
            used=self.used[lines],
        )


def replay(frames: Predictions, scaling: Calibration) -> Trace:
    """Run every exam's frames, in their order, through the engine's own running exam."""
    names, exam_of = np.unique(frames.exams, return_inverse=True)
    order = np.argsort(exam_of, kind="stable")
    starts = np.searchsorted(exam_of[order], np.arange(len(names)))
    plain = Calibration(scaling.temperature, weights=scaling.weights, biases=scaling.biases)
    means, effective = np.empty(frames.probabilities.shape), np.empty(len(order))
    exam = Exam(frames.labels, plain)
    for line, row in enumerate(order):
        if line == starts[exam_of[row]]:
            exam = Exam(frames.labels, plain)
        exam.update(frames.probabilities[row][None].astype(np.float32))
        snapshot = exam.snapshot()
        means[line], effective[line] = snapshot.probabilities, snapshot.effective_frames
    of_line = exam_of[order]
    ends = np.append(starts[1:], len(order)) - 1
    whole = frames.by_exam().with_probabilities(means[ends])
    return Trace(whole, of_line, means, effective, np.arange(len(order)) - starts[of_line] + 1)


def fit_exams(trace: Trace, with_biases: bool) -> ExamCalibration:
    """Return the exam calibration of the least negative log-likelihood, on exams and prefixes."""
    lines, weights = _weigh(trace)
    means, effective = trace.means[lines], trace.effective[lines]
    used, targets = trace.used[lines], trace.targets[lines]
    classes = means.shape[1]

    def build(values: Floats, most: float = MOST) -> ExamCalibration:
        biases = values[3:] - values[3:].mean() if with_biases else np.zeros(0)
        intercept, slope, correlation = map(float, values[:3])
        return ExamCalibration(
            intercept, slope, most, correlation, PAIRS, tuple(map(float, biases))
        )

    def cost(values: Floats) -> float:
        found = build(values).calibrate(means, effective, used)
        return float((weights * lose(found, targets)).sum())

    start = [0.0, 0.0, 0.5] + [0.0] * (classes if with_biases else 0)
    limits = [(-STEEPEST, STEEPEST), (0.0, STEEPEST), (0.0, HIGHEST_CORRELATION)]
    limits += [(-HIGH, HIGH)] * (classes if with_biases else 0)
    values = minimize(cost, start, method="L-BFGS-B", bounds=limits).x
    found = build(values, float(build(values).weigh(effective, used).max()))
    return replace(found, exams=len(trace.exams.targets))


def compare_biases(trace: Trace) -> Contest | None:
    """Compare exam calibration without and with a bias for each class, on other patients.

    None where a class has a single patient.
    """
    folds = deal(trace.exams)
    if folds is None:
        return None
    lines, weights = _weigh(trace)
    losses = {False: np.empty(len(trace.means)), True: np.empty(len(trace.means))}
    for fold in np.unique(folds):
        inside, outside = trace.select(folds != fold), (folds == fold)[trace.exam_of]
        for with_biases, loss in losses.items():
            found = fit_exams(inside, with_biases).calibrate(
                trace.means[outside], trace.effective[outside], trace.used[outside]
            )
            loss[outside] = lose(found, trace.targets[outside])
    patients = trace.exams.patients[trace.exam_of[lines]]
    return Contest.hold(losses[False][lines], losses[True][lines], patients, weights)


def _weigh(trace: Trace) -> tuple[Integers, Floats]:
    """Return the lines that enter a fit, and their weights, summing to 1."""
    starts = np.append(0, trace.ends[:-1] + 1)
    lines, weights = [], []
    for start, end in zip(starts, trace.ends, strict=True):
        mine = np.unique(np.linspace(start, end, min(PREFIXES, end - start + 1)).astype(np.int64))
        weight = np.full(len(mine), (1 - WHOLE) / len(mine))
        weight[-1] += WHOLE
        lines.append(mine)
        weights.append(weight / len(trace.ends))
    return np.concatenate(lines), np.concatenate(weights)
