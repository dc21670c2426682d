"""How the detector is trained; help, validation and default at once."""

from dataclasses import asdict, dataclass
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.answer import Grid


@dataclass(frozen=True)
class DetectRecipe:
    """AdamW with one warm-up and one cosine; weights are averaged over the last steps.

    The first share `small` of the steps sees views of `small_px` a side, which cost half; what is
    learnt of them holds for the whole size after some hundred steps (Touvron et al. 2019,
    arXiv 1906.06423). `small` 0 is the whole size throughout.

    `pictures` are how many views are seen in all; `held_out` is the fold whose patients are only
    judged, None to train on everyone.
    """

    pictures: int = 60_000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.03
    average: float = 0.995
    small: float = 0.7
    small_px: int = 224
    clip_norm: float = 10.0
    held_out: int | None = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 2 or self.pictures < self.batch:
            raise InputError(
                f"a batch has 2 pictures or more and training at least one batch, found "
                f"{self.pictures} pictures in batches of {self.batch}"
            )
        if not 0 < self.warmup < 1 or not 0 <= self.average < 1 or self.learning_rate <= 0:
            raise InputError("warmup and average are shares under 1, the learning rate is over 0")
        if not 0 <= self.small < 1:
            raise InputError(f"small is a share of the steps under 1, found {self.small}")
        Grid(self.small_px)

    @property
    def steps(self) -> int:
        """Return the number of batches."""
        return self.pictures // self.batch

    def side_px(self, step: int, whole_px: int) -> int:
        """Return the side of the views of a step, of squares of `whole_px`."""
        return min(self.small_px, whole_px) if step < self.small * self.steps else whole_px

    def to_json(self) -> dict[str, Any]:
        """Return every setting."""
        return asdict(self)
