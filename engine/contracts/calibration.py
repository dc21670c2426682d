"""What makes probabilities mean what they say; fitted by the package `calibration`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.contracts.errors import InputError

SCHEMA = "neurosono-calibration/1"


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling of frames, and the conformal threshold of exams.

    `temperature` divides the logarithm of the ensemble's mean probabilities (Guo et al. 2017,
    arXiv 1706.04599). An exam's prediction set holds each class whose exam probability is at least
    `1 - conformal_threshold`, and misses the truth in at most a share `alpha` of exams like those
    it was fitted on (least ambiguous sets, Sadinle et al. 2019); None: not fitted.
    """

    temperature: float = 1.0
    conformal_threshold: float | None = None
    alpha: float = 0.1
    exams: int = 0

    def __post_init__(self) -> None:
        if not 0.01 <= self.temperature <= 100:
            raise InputError(f"temperature must be in 0.01 to 100, found {self.temperature}")
        if self.conformal_threshold is not None and not 0 <= self.conformal_threshold <= 1:
            raise InputError(
                f"conformal threshold must be in 0 to 1, found {self.conformal_threshold}"
            )
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha must be between 0 and 1, found {self.alpha}")

    def calibrate(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Rescale `(..., C)` probabilities, each row summing to 1; returns float64, same shape."""
        clipped = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-12, 1.0)
        scaled = np.log(clipped) / self.temperature
        scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        result: NDArray[np.float64] = scaled / scaled.sum(axis=-1, keepdims=True)
        return result

    def to_json(self) -> dict[str, Any]:
        """Return the object that stands in `calibration.json`."""
        return {
            "schema": SCHEMA,
            "temperature": self.temperature,
            "conformal_threshold": self.conformal_threshold,
            "alpha": self.alpha,
            "exams": self.exams,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Calibration":
        """Read `calibration.json`; raise `InputError` on another schema or missing fields."""
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            schema = found.get("schema") if isinstance(found, dict) else found
            raise InputError(f"calibration schema must be {SCHEMA}, found {schema!r}")
        expected = set(cls().to_json())
        if set(found) != expected:
            raise InputError(f"calibration must have {sorted(expected)}, found {sorted(found)}")
        fields = {name: value for name, value in found.items() if name != "schema"}
        return cls(**fields)
