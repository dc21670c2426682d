"""How the regions' network is trained; help, validation and default at once."""

from dataclasses import asdict, dataclass
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.regions.names import PLANES

WHOLE, BOTH = "whole", "both"
ARMS = {BOTH: PLANES, **{plane: (plane,) for plane in PLANES}, WHOLE: PLANES}
"""What is looked at: regions of both planes, of one of them, or both whole pictures."""
WHOLE_PX = 128
"""Side of a whole picture: four crops' worth of pixels, so no more than the three see."""


@dataclass(frozen=True)
class PairRecipe:
    """AdamW with one warm-up and one cosine; a batch of pairs has as many of either kind.

    `arm` is one of `ARMS`. In a share `found` of the views boxes and head are those that the
    detector found, else the true ones, jittered.
    """

    arm: str = BOTH
    steps: int = 400
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    found: float = 0.5
    folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.arm not in ARMS:
            raise InputError(f"an arm is one of {', '.join(ARMS)}; found {self.arm!r}")
        if self.steps < 1 or self.batch < 2 or self.folds < 2:
            raise InputError(
                f"training has a step, a batch of 2 and 2 folds or more; found {self.steps}, "
                f"{self.batch} and {self.folds}"
            )
        if not 0 < self.warmup < 1 or not 0 <= self.found <= 1 or self.learning_rate <= 0:
            raise InputError("warmup and found are shares, the learning rate is over 0")

    @property
    def planes(self) -> tuple[str, ...]:
        """Return the planes that are looked at."""
        return ARMS[self.arm]

    def to_json(self) -> dict[str, Any]:
        """Return every setting."""
        return asdict(self)
