"""How the detector is trained; help, validation and default at once."""

import math
import sys
from dataclasses import asdict, dataclass
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.answer import Grid


@dataclass(frozen=True)
class DetectRecipe:
    """AdamW with one warm-up and one cosine; weights are averaged over the last steps.

    Views are `look_px` a side. The first share `glance` of the steps sees whole pictures; from then
    on a share `closer` of the views are closer looks at a head, where one is known or was found.

    `strength` is how far greys of views differ, in those of `augmentation`. With `seconds` over 0
    the rate follows the clock and ends when they are over, however many `pictures` were seen.

    `pictures` are how many views are seen in all; `held_out` is the fold whose patients are only
    judged, None to train on everyone. `begun_from` names the weights that it began with, by their
    SHA-256, "" where it began from nothing.
    """

    pictures: int = 60_000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.03
    average: float = 0.995
    look_px: int = 192
    glance: float = 0.3
    closer: float = 0.55
    clip_norm: float = 10.0
    held_out: int | None = 0
    seed: int = 0
    begun_from: str = ""
    strength: float = 1.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.batch < 2 or self.pictures < self.batch:
            raise InputError(
                f"a batch has 2 pictures or more and training at least one batch, found "
                f"{self.pictures} pictures in batches of {self.batch}"
            )
        if not 0 < self.warmup < 1 or not 0 <= self.average < 1 or self.learning_rate <= 0:
            raise InputError("warmup and average are shares under 1, the learning rate is over 0")
        if not 0 <= self.strength <= 2 or not self.seconds >= 0:
            raise InputError("strength is from 0 to 2, seconds are 0 or more")
        if not 0 <= self.glance <= 1 or not 0 <= self.closer <= 1:
            raise InputError("glance and closer are shares from 0 to 1")
        Grid(self.look_px)

    @property
    def steps(self) -> int:
        """Return the number of batches; without an end where the clock sets it."""
        return sys.maxsize if self.seconds else self.pictures // self.batch

    @property
    def closer_from(self) -> int:
        """Return the first step that sees closer looks."""
        return math.ceil(self.glance * self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return every setting."""
        return asdict(self)
