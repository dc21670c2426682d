"""How far an engine may be from the float32 reference, and how far it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from neurosono.engine.backends import name_precision
from neurosono.engine.contracts.arrays import Integers, Singles
from neurosono.engine.contracts.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What a precision may cost: of frame probability, and of frames that keep their first class.

    `top1_agreement` is 0 to 1.
    """

    max_difference: float
    top1_agreement: float


LIMITS = {
    "f32": Limits(1e-4, 1.0),
    "fp16": Limits(0.02, 0.995),
    "bf16": Limits(0.02, 0.995),
    "int8": Limits(0.05, 0.99),
}
"""Of the ensemble's frame probabilities (design decision): small against the steps of confidence
that an operator can see, with room for the rounding that each format must have."""


@dataclass(frozen=True)
class EngineParity:
    """An engine against float32 on the same frames: of probability, of choice, of whole exams."""

    frames: int
    exams: int
    max_difference: float
    top1_agreement: float
    exam_agreement: float

    def to_json(self) -> dict[str, float]:
        """Return the manifest's `parity` object."""
        return {key: round(float(value), 7) for key, value in asdict(self).items()}


def compare_answers(exact: Singles, found: Singles, exams: Integers) -> EngineParity:
    """Compare member probabilities (N, M, C) of the same frames; `exams` (N,) numbers their exams.

    What is compared is the mean of the members, which is what the user is shown.
    """
    mean, other = exact.astype(np.float64).mean(1), found.astype(np.float64).mean(1)
    rows = [exams == exam for exam in np.unique(exams)]
    kept = [mean[row].mean(0).argmax() == other[row].mean(0).argmax() for row in rows]
    return EngineParity(
        frames=len(mean),
        exams=len(rows),
        # a number that is not finite compares as far off, never as near
        max_difference=float(np.nan_to_num(np.abs(mean - other), nan=1.0).max()),
        top1_agreement=float((mean.argmax(1) == other.argmax(1)).mean()),
        exam_agreement=float(np.mean(kept)),
    )


def has_passed(parity: Mapping[str, float], precision: str) -> bool:
    """Whether a manifest's `parity` is within the limits; one without figures is believed."""
    limits = LIMITS.get(name_precision(precision))
    if limits is None or not parity:
        return limits is not None
    return (
        parity.get("max_difference", 1.0) <= limits.max_difference
        and parity.get("top1_agreement", 0.0) >= limits.top1_agreement
        and parity.get("exam_agreement", 0.0) >= 1
    )


def check_limits(parity: EngineParity, precision: str) -> None:
    """Raise `InputError` where an engine is over its precision's limits, with the figures."""
    limits = LIMITS[precision]
    if not has_passed(asdict(parity), precision):
        raise InputError(
            f"the {precision} engine is over its limits: its probabilities differ by "
            f"{parity.max_difference:.2g} from float32 (at most {limits.max_difference:g}), "
            f"{parity.top1_agreement:.1%} of {parity.frames} frames agree (at least "
            f"{limits.top1_agreement:.1%}), {parity.exam_agreement:.0%} of {parity.exams} exams "
            "(all): it is not used; choose another precision"
        )
