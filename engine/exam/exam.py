"""The running exam: every used frame's calibrated probabilities, averaged as the paper does it.

Where the bundle says how, the mean is then turned into calibrated probabilities of the exam.
"""

import math
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Singles
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import EngineFailedError, InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.result import ExamSnapshot, ExamState
from neurosono.engine.exam.alarm import AlarmLatch
from neurosono.engine.exam.interval import bound_share

MIN_EFFECTIVE_FRAMES = 3.0
"""Below this many independent frames an exam is still `collecting`: the mean of one or two views
would be called stable on the strength of a single lucky plane (design decision)."""

MAX_CORRELATION = 0.999

ASSUMED_CORRELATION = 0.9
"""Where all frames give one answer their correlation cannot be measured; at 25 Hz this counts about
1.3 independent frames a second (design decision)."""


class Exam:
    """One patient's scan, as far as it has come.

    Successive frames are nearly the same picture, so n frames are worth fewer: with a lag-one
    correlation r they are worth n (1 - r) / (1 + r) (first-order autoregression; Bayley and
    Hammersley 1946). r is the largest over the classes. The interval is the calibrated
    probability's own where the bundle knows it, otherwise Wilson's of the mean at that number.
    """

    def __init__(self, labels: tuple[str, ...], calibration: Calibration) -> None:
        """Begin an exam; raises `InputError` where `calibration` is of other labels."""
        self.labels = validate_labels(labels)
        calibration.check_labels(self.labels)
        self._calibration = calibration
        self._alarm = AlarmLatch(calibration.alarm)
        classes = len(self.labels)
        self._used = 0
        self._sum = np.zeros(classes)
        self._sum_of_squares = np.zeros(classes)
        self._sum_of_products = np.zeros(classes)
        self._first = np.full(classes, np.nan)
        self._last = np.full(classes, np.nan)
        self._skipped: dict[str, int] = {}
        self._standing: ExamSnapshot | None = None
        """How the exam stands, drawn up when asked for: it is asked for several times a frame."""
        self._numbers: tuple[Floats, float, Floats] | None = None
        """Mean, effective frames and calibrated probabilities of what was added so far."""

    def update(self, member_probabilities: Singles) -> Floats:
        """Add a frame's `(M, C)` member probabilities; return its calibrated mean, `(C,)` float64.

        Raises `EngineFailedError` where they are not finite probabilities: such a frame must not
        pass for an answer.
        """
        mean = average_members(member_probabilities, len(self.labels))
        calibrated = self._calibration.calibrate(mean)
        if not np.isfinite(calibrated).all():
            raise EngineFailedError(
                f"the calibration made {calibrated.tolist()} of {mean.tolist()}, which are no "
                "probabilities: run `neurosono calibrate` again"
            )
        if self._used:
            self._sum_of_products += self._last * calibrated
        else:
            self._first = calibrated
        self._standing = self._numbers = None
        self._used += 1
        self._sum += calibrated
        self._sum_of_squares += calibrated**2
        self._last = calibrated
        self._follow_alarm()
        return calibrated

    def _follow_alarm(self) -> None:
        alarm = self._calibration.alarm
        if alarm is None:
            return
        _, effective, probabilities = self._weigh()
        absent = 1.0 - float(probabilities[self.labels.index(alarm.label)])
        exam = self._calibration.exam
        evidence = effective if exam is None else float(exam.weigh(effective, self._used))
        self._alarm.follow(absent, evidence / self._used)

    def _weigh(self) -> tuple[Floats, float, Floats]:
        if self._numbers is None:
            mean = self._sum / max(1, self._used)
            effective = self._count_effective(mean)
            exam, probabilities = self._calibration.exam, mean
            if exam is not None and self._used:
                probabilities = exam.calibrate(mean, effective, self._used)
            self._numbers = mean, effective, probabilities
        return self._numbers

    def skip(self, reason: SkipReason) -> None:
        """Count a sampled frame that adds no evidence."""
        self._standing = None
        self._skipped[str(reason)] = self._skipped.get(str(reason), 0) + 1

    def snapshot(self) -> ExamSnapshot:
        """Return the exam as it now stands: the same object until something is added.

        Where more frames were unlike what the model was trained on than were used, the few that
        passed for familiar say nothing either: the exam is `unfamiliar`, without any figure.
        """
        if self._standing is None:
            self._standing = self._draw_up()
        return self._standing

    def _draw_up(self) -> ExamSnapshot:
        unfamiliar = self._skipped.get(str(SkipReason.UNFAMILIAR_TO_MODEL), 0) > self._used
        mean, effective, probabilities = self._weigh()
        if not self._used or unfamiliar:
            unknown = np.full(len(self.labels), np.nan)
            state = ExamState.UNFAMILIAR if unfamiliar else ExamState.COLLECTING
            return ExamSnapshot(
                *(unknown, unknown, unknown, (), state),
                *(self._used, effective, dict(self._skipped)),
            )
        low, high = bound_share(mean, effective)
        exam = self._calibration.exam
        enclosed = None if exam is None else exam.enclose(probabilities)
        if enclosed is not None:
            low, high = enclosed
        elif exam is not None:  # minimum and maximum against rounding only
            low = np.minimum(exam.bound(mean, low, effective, self._used), probabilities)
            high = np.maximum(exam.bound(mean, high, effective, self._used), probabilities)
        kept = self._predict(probabilities, low, high)
        state = ExamState.STABLE if kept.sum() == 1 else ExamState.AMBIGUOUS
        if effective < MIN_EFFECTIVE_FRAMES:
            state = ExamState.COLLECTING
        return ExamSnapshot(
            probabilities=probabilities,
            low=low,
            high=high,
            prediction_set=self._name(kept, probabilities),
            state=state,
            used=self._used,
            effective_frames=effective,
            skipped=dict(self._skipped),
            mean=None if exam is None else mean,
            alarm=self._alarm.on and state is not ExamState.COLLECTING,
        )

    def _count_effective(self, mean: Floats) -> float:
        if self._used < 2:
            return float(self._used)
        pairs = self._used - 1
        variance = self._sum_of_squares / self._used - mean**2
        # sum over pairs of (x_t - m)(x_{t+1} - m), from running sums
        ends = self._sum * 2 - self._first - self._last
        covariance = (self._sum_of_products - mean * ends + pairs * mean**2) / pairs
        varies = variance > 1e-12
        correlation = ASSUMED_CORRELATION
        if varies.any():
            measured = float(np.max(covariance[varies] / variance[varies]))
            correlation = min(max(measured, 0.0), MAX_CORRELATION)
        return max(1.0, self._used * (1 - correlation) / (1 + correlation))

    def _predict(
        self,
        probabilities: Floats,
        low: Floats,
        high: Floats,
    ) -> Flags:
        chosen = self._calibration.choose(probabilities)
        return high >= low[int(np.argmax(probabilities))] if chosen is None else chosen

    def _name(self, kept: Flags, probabilities: Floats) -> tuple[str, ...]:
        """Name the classes kept; of none the likeliest, for an empty set tells nobody anything.

        That only raises coverage, and the exam stays `ambiguous`.
        """
        if not kept.any():
            return (self.labels[int(np.argmax(probabilities))],)
        return tuple(label for label, keep in zip(self.labels, kept, strict=True) if keep)

    def to_json(self) -> dict[str, Any]:
        """Return all that `restore` needs, exactly: floats survive JSON bit for bit."""
        return {
            "labels": list(self.labels),
            "used": self._used,
            "skipped": dict(self._skipped),
            "alarm": self._alarm.to_json(),
            "arrays": {
                name: [None if math.isnan(value) else value for value in array.tolist()]
                for name, array in self._arrays().items()
            },
        }

    @classmethod
    def restore(cls, found: dict[str, Any], calibration: Calibration) -> "Exam":
        """Take an exam up again from `to_json`; raises `InputError` where it is not whole."""
        try:
            exam = cls(tuple(found["labels"]), calibration)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the exam's saved state is not readable: {error!r}") from error
        exam.take_up(found)
        return exam

    def take_up(self, found: dict[str, Any]) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
        try:
            if tuple(found["labels"]) != self.labels:
                raise ValueError(f"it has labels {found['labels']}")
            self._standing = self._numbers = None
            self._used = int(found["used"])
            self._skipped = {str(SkipReason(k)): int(v) for k, v in found["skipped"].items()}
            self._alarm.restore(found.get("alarm"))  # records of before 2 have none
            for name, array in self._arrays().items():
                values = [math.nan if value is None else value for value in found["arrays"][name]]
                array[:] = np.array(values, dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the exam's saved state is not readable: {error!r}") from error

    def _arrays(self) -> dict[str, Floats]:
        return {
            "sum": self._sum,
            "sum_of_squares": self._sum_of_squares,
            "sum_of_products": self._sum_of_products,
            "first": self._first,
            "last": self._last,
        }


def average_members(member_probabilities: Singles, classes: int) -> Floats:
    """Return the mean of a frame's `(M, C)` member probabilities, `(C,)` float64.

    Raises `InputError` on another shape, `EngineFailedError` where they are no probabilities.
    """
    if member_probabilities.ndim != 2 or member_probabilities.shape[1] != classes:
        raise InputError(
            f"member probabilities must be (M, {classes}), found {member_probabilities.shape}"
        )
    mean: Floats = member_probabilities.astype(np.float64).mean(axis=0)
    if not np.isfinite(mean).all() or abs(mean.sum() - 1) > 1e-2 or mean.min() < -1e-3:
        raise EngineFailedError(
            f"the engine gave {mean.tolist()}, which are no probabilities: rebuild it with "
            "`neurosono build`, or choose another precision"
        )
    return mean


def measure_disagreement(member_probabilities: Singles) -> float:
    """Return how far members are from their mean: mean total variation distance, 0 to 1.

    `member_probabilities` is `(M, C)`; one member cannot disagree with itself and gives 0.
    """
    members = member_probabilities.astype(np.float64)
    return float(0.5 * np.abs(members - members.mean(axis=0)).sum(axis=1).mean())
