"""What makes probabilities mean what they say; fitted by the package `calibration`."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Flags, Floats, Integers
from neurosono.engine.contracts.codec import read_plain, to_plain
from neurosono.engine.contracts.errors import InputError

SCHEMA = "neurosono-calibration/2"

FIRST_SCHEMA = "neurosono-calibration/1"
"""Temperature and one threshold only; still read."""

FIRST_FIELDS = frozenset({"temperature", "conformal_threshold", "alpha", "exams"})

LARGEST_LOG = 100.0
"""Of what is added to a logarithm or multiplies it; real fits are within 10."""

MOST_FRAMES = 1e9
"""Of what counts frames or exams."""

Numbers = NDArray[np.floating[Any]] | Integers | float

SMALLEST = 1e-12
"""A probability is taken for this at least before its logarithm: a network's softmax in float32
gives zeros, and one frame must not rule a class out for ever."""


@dataclass(frozen=True)
class ExamCalibration:
    """Turns the mean of an exam's frames into probabilities of the exam.

    The mean is too shy, for it tells what a frame shows, not what all of them show together. So it
    is raised to the power `exp(intercept + slope * log(n))`, times `exp(biases)` where the bundle
    has them, one a class, and scaled to sum to 1. `slope` is 0 or more: more evidence never makes
    an answer less sure. n is the evidence: how many independent frames the exam is worth, and at
    most `most`, what was seen in fitting. A few frames cannot tell how alike they are, so their
    lag-one correlation counts together with `pairs` more of `correlation`, that of the exams it was
    fitted on.

    `exams` is how many exams that were, 0 where it was not noted. No number of them supports a
    chance of being wrong below 1 / (exams + 1), the rule of succession's for an error that none of
    them showed: that much is taken from every answer and spread evenly over the other classes.
    `bounds` are rows of a probability, ascending, and its 95 % interval: of exams of patients left
    out that were given about this probability for a class, the share that were of it.
    """

    intercept: float = 0.0
    slope: float = 0.0
    most: float = 1.0
    correlation: float = 0.0
    pairs: float = 0.0
    biases: tuple[float, ...] = ()
    exams: int = 0
    bounds: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        self._check_bounds()
        _check_small("exam calibration", (self.intercept, self.slope, *self.biases), LARGEST_LOG)
        _check_small("exam calibration", (self.pairs, self.most, float(self.exams)), MOST_FRAMES)
        if self.slope < 0 or not 1 <= self.most < math.inf:
            raise InputError(
                "exam calibration needs a slope of 0 or more, and 1 frame or more at most, found "
                f"{self.slope}, {self.most}"
            )
        if not 0 <= self.correlation < 1 or self.pairs < 0:
            raise InputError(
                "exam calibration needs a correlation from 0 to below 1 and 0 pairs or more, found "
                f"{self.correlation}, {self.pairs}"
            )

    def _check_bounds(self) -> None:
        table = np.array(self.bounds, dtype=np.float64).reshape(-1, 3)
        if type(self.exams) is not int:
            raise InputError(f"exam calibration needs a whole number of exams, found {self.exams}")
        ascending = bool((np.diff(table, axis=0) >= 0).all()) and len(table) != 1
        inside = bool(
            (table >= 0).all() and (table <= 1).all() and (table[:, 1] <= table[:, 2]).all()
        )
        if not ascending or not inside or self.exams < 0:
            raise InputError(
                "exam calibration needs 0 exams or more, and bounds of two rows or more, ascending "
                f"in 0 to 1, found {self.exams} and {self.bounds}"
            )

    def weigh(self, effective: Numbers, used: Numbers) -> Floats:
        """Return the evidence in `used` frames worth `effective`, any shape, 1 or more."""
        frames = np.asarray(used, dtype=np.float64)
        worth = np.asarray(effective, dtype=np.float64)
        own = (frames - worth) / (frames + worth)  # `engine.exam` counts n (1 - r) / (1 + r)
        share = self.pairs / np.maximum(self.pairs + frames - 1, SMALLEST)
        shrunk = own + (self.correlation - own) * share
        found: Floats = frames * (1 - shrunk) / (1 + shrunk)
        return np.maximum(found, 1.0)

    def calibrate(self, mean: Floats, effective: Numbers, used: Numbers) -> Floats:
        """Return exam probabilities, `(..., C)`, of means `(..., C)`; the others are `(...)`."""
        evidence = np.minimum(self.weigh(effective, used), self.most)
        power = np.exp(self.intercept + self.slope * np.log(evidence))
        bias = np.array(self.biases) if self.biases else 0.0
        found = _soften(power[..., None] * np.log(np.clip(mean, SMALLEST, 1.0)) + bias)
        classes = found.shape[-1]
        spread = classes / ((classes - 1) * (self.exams + 1)) if self.exams else 0.0
        supported: Floats = (1 - spread) * found + spread / classes
        return supported

    def enclose(self, probabilities: Floats) -> tuple[Floats, Floats] | None:
        """Return the 95 % interval of each calibrated probability, `(C,)` each; None: not fitted.

        It holds the probability itself.
        """
        if not self.bounds:
            return None
        at, low, high = np.array(self.bounds).T
        lower = np.minimum(np.interp(probabilities, at, low), probabilities)
        return lower, np.maximum(np.interp(probabilities, at, high), probabilities)

    def bound(self, mean: Floats, bounds: Floats, effective: float, used: int) -> Floats:
        """Return what `calibrate` would give each class if its mean were `bounds`, `(C,)`.

        The others then share the rest in their proportions. It rises with the bound, and is the
        calibrated probability itself where bound and mean are equal, so lower and upper bounds
        stay on their sides of it.
        """
        classes = len(mean)
        own = np.eye(classes, dtype=bool)
        rest = np.clip(mean, SMALLEST, 1.0)
        others = np.where(own, 0.0, rest[None, :])
        others *= ((1 - bounds) / others.sum(axis=1))[:, None]
        moved = self.calibrate(np.where(own, bounds[:, None], others), effective, used)
        found: Floats = moved.diagonal().copy()
        return found


@dataclass(frozen=True)
class OperatingPoint:
    """An exam is called anomalous from `threshold` of 1 - p(normal) on.

    So are at least a share `sensitivity` of the anomalous exams that fitted it.
    """

    sensitivity: float
    threshold: float

    def __post_init__(self) -> None:
        if not 0 < self.sensitivity <= 1 or not 0 <= self.threshold <= 1:
            raise InputError(
                f"an operating point needs a sensitivity and a threshold in 0 to 1, found {self}"
            )


@dataclass(frozen=True)
class Alarm:
    """When the running exam says "any anomaly".

    It goes on once 1 - p(`label`) has been `on` or more for `dwell_frames` independent frames in a
    row, and off below `off`. 0 frames: at once.
    """

    label: str
    on: float
    off: float
    dwell_frames: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.off <= self.on <= 1 or not 0 <= self.dwell_frames < math.inf:
            raise InputError(
                f"an alarm needs 0 <= off <= on <= 1 and a dwell of 0 frames or more, found {self}"
            )


@dataclass(frozen=True)
class Calibration:
    """Calibration of frames and of exams, thresholds of prediction sets, and the alarm.

    Frames: `temperature` divides the logarithm of the ensemble's mean probabilities, or, where
    there are `weights` and `biases`, one each a class, those multiply it and are added (temperature
    and vector scaling: Guo et al. 2017, arXiv 1706.04599). Exams: `exam`, None for the plain mean.
    An exam's prediction set holds each class whose exam probability is at least 1 minus its
    threshold: its own in `class_thresholds`, or `conformal_threshold` for all; it misses the truth
    in at most a share `alpha` of exams like the `exams` it was fitted on (least ambiguous sets,
    Sadinle et al. 2019; a threshold a class: Vovk 2012); None: not fitted.
    """

    temperature: float = 1.0
    conformal_threshold: float | None = None
    alpha: float = 0.1
    exams: int = 0
    weights: tuple[float, ...] = ()
    biases: tuple[float, ...] = ()
    exam: ExamCalibration | None = None
    class_thresholds: tuple[float, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    alarm: Alarm | None = None

    def __post_init__(self) -> None:
        if not 0.01 <= self.temperature <= 100:
            raise InputError(f"temperature must be in 0.01 to 100, found {self.temperature}")
        pooled = () if self.conformal_threshold is None else (self.conformal_threshold,)
        for threshold in (*pooled, *self.class_thresholds):
            if not 0 <= threshold <= 1:
                raise InputError(f"conformal threshold must be in 0 to 1, found {threshold}")
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha must be between 0 and 1, found {self.alpha}")
        _check_small("vector scaling", (*self.weights, *self.biases), LARGEST_LOG)
        if len(self.weights) != len(self.biases) or min(self.weights, default=1.0) <= 0:
            raise InputError("vector scaling needs a positive weight and a bias for each class")

    def check_labels(self, labels: tuple[str, ...]) -> None:
        """Raise `InputError` where this was fitted for other classes than `labels`."""
        exam_biases = () if self.exam is None else self.exam.biases
        for values in (self.weights, self.class_thresholds, exam_biases):
            if values and len(values) != len(labels):
                raise InputError(
                    f"the calibration is of {len(values)} classes, the bundle has {len(labels)}: "
                    "run `neurosono calibrate` again"
                )
        if self.alarm is not None and self.alarm.label not in labels:
            raise InputError(
                f"the alarm is for all but {self.alarm.label!r}, which is none of {list(labels)}: "
                "run `neurosono calibrate` again"
            )

    def calibrate(self, probabilities: NDArray[np.floating[Any]]) -> Floats:
        """Rescale `(..., C)` probabilities, each row summing to 1; returns float64, same shape."""
        clipped = np.clip(np.asarray(probabilities, dtype=np.float64), SMALLEST, 1.0)
        if self.weights:
            return _soften(np.log(clipped) * np.array(self.weights) + np.array(self.biases))
        return _soften(np.log(clipped) / self.temperature)

    def choose(self, exam: Floats) -> Flags | None:
        """Return which classes reach their threshold, `(..., C)`, of exam probabilities `(..., C)`.

        None where no thresholds were fitted. A row may be empty: no class is as likely as it was in
        exams that truly were of it.
        """
        if self.class_thresholds:
            return np.asarray(exam >= 1 - np.array(self.class_thresholds))
        threshold = self.conformal_threshold
        return None if threshold is None else np.asarray(exam >= 1 - threshold)

    def to_json(self) -> dict[str, Any]:
        """Return the object that stands in `calibration.json`."""
        said: dict[str, Any] = to_plain(self)
        return {"schema": SCHEMA} | said

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Calibration":
        """Read `calibration.json`; raise `InputError` on another schema or missing fields."""
        schema = found.get("schema") if isinstance(found, dict) else found
        if schema not in (SCHEMA, FIRST_SCHEMA):
            raise InputError(f"calibration schema must be {SCHEMA}, found {schema!r}")
        said = {name: value for name, value in found.items() if name != "schema"}
        if schema == FIRST_SCHEMA:
            if said.keys() != FIRST_FIELDS:
                raise InputError(
                    f"calibration must have {sorted(FIRST_FIELDS)}, found {sorted(said)}"
                )
            said = to_plain(cls()) | said
        if isinstance(said.get("exam"), dict):  # earlier releases noted neither
            said["exam"] = {"exams": 0, "bounds": []} | said["exam"]
        return read_plain("calibration", said, cls)


def _soften(logits: Floats) -> Floats:
    """Return the softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _check_small(what: str, values: tuple[float, ...], most: float) -> None:
    """A number that is finite and absurd makes infinities, and their difference is no number."""
    if not all(abs(value) <= most for value in values):
        raise InputError(f"{what} must be of numbers within {most:g}, found {list(values)}")
