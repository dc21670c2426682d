"""How far an engine of low precision is from the float32 reference, and how far it may be."""

from dataclasses import asdict, dataclass

import numpy as np

from engine.contracts.errors import InputError
from engine.contracts.predictions import Predictions


@dataclass(frozen=True)
class Limits:
    """What a precision may cost."""

    max_difference: float
    top1_agreement: float


LIMITS = {
    "f32": Limits(1e-3, 1.0),
    "f16": Limits(0.01, 0.995),
    "bf16": Limits(0.02, 0.995),
    "int8": Limits(0.05, 0.99),
}
"""Of the ensemble's frame probabilities (design decision): small against the steps of confidence
that an operator can see, with room for the rounding that each format must have."""


@dataclass(frozen=True)
class Parity:
    """An engine against float32 on the same frames: of probability, of choice, of whole exams."""

    frames: int
    exams: int
    max_difference: float
    mean_difference: float
    top1_agreement: float
    exam_agreement: float

    def to_json(self) -> dict[str, float]:
        """Return the manifest's `parity` object."""
        return {key: round(float(value), 6) for key, value in asdict(self).items()}


def compare(reference: Predictions, found: Predictions) -> Parity:
    """Compare two engines' predictions of the same frames of patients that quantised nothing."""
    difference = np.abs(reference.probabilities - found.probabilities)
    exams, exams_found = reference.by_exam(), found.by_exam()
    return Parity(
        frames=len(reference.rows),
        exams=len(exams.rows),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        top1_agreement=_agreement(reference, found),
        exam_agreement=_agreement(exams, exams_found),
    )


def _agreement(one: Predictions, other: Predictions) -> float:
    return float((one.probabilities.argmax(1) == other.probabilities.argmax(1)).mean())


def check_parity(parity: Parity, precision: str) -> None:
    """Raise `InputError` where an engine is over its precision's limits, with the figures."""
    limits = LIMITS[precision]
    if (
        parity.max_difference > limits.max_difference
        or parity.top1_agreement < limits.top1_agreement
        or parity.exam_agreement < 1
    ):
        raise InputError(
            f"{precision} is over its limits: probabilities differ by {parity.max_difference:.3f} "
            f"(at most {limits.max_difference}), {parity.top1_agreement:.2%} of frames agree (at "
            f"least {limits.top1_agreement:.1%}), {parity.exam_agreement:.1%} of exams (all): "
            "no engine was written; use f16 or f32, or more calibration frames"
        )
