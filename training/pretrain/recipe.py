"""How a masked autoencoder is trained; help, validation and default at once."""

from dataclasses import asdict, dataclass
from typing import Any

from neurosono.engine.contracts.architecture import PATCH_PX, TRANSFORMERS, VIT_TI
from neurosono.engine.contracts.errors import InputError
from neurosono.training.recipe import Recipe


@dataclass(frozen=True)
class PretrainRecipe:
    """AdamW with one warm-up and one cosine, as MAE and USF-MAE.

    Masked are 75 % of the patches (He et al. 2022, arXiv 2111.06377). The learning rate is for a
    batch of 256 and goes with the batch; USF-MAE (Megahed et al. 2025, arXiv 2511.07827) took 3e-4
    to 1e-3, 10 % of warm-up, a weight decay of 0.01 to 0.05, batches of 64, 100 epochs, gradients
    clipped to 1, crops, flips and turns, as here.
    """

    architecture: str = VIT_TI
    width: float = 1.0
    size_px: int = 224
    masked: float = 0.75
    epochs: int = 100
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip_norm: float = 1.0
    crop_area_low: float = 0.4
    rotation_deg: float = 30.0
    precision: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.architecture not in TRANSFORMERS:
            raise InputError(
                f"only a transformer is pretrained, one of {', '.join(TRANSFORMERS)}: found "
                f"{self.architecture!r}"
            )
        if self.size_px % PATCH_PX or self.size_px < 2 * PATCH_PX:
            raise InputError(
                f"pictures are a multiple of {PATCH_PX} px and at least {2 * PATCH_PX}, found "
                f"{self.size_px}"
            )
        shares = (self.masked, self.warmup)
        if not all(0 < share < 1 for share in shares) or self.epochs < 1 or self.batch < 2:
            raise InputError(
                "masked and warmup are shares between 0 and 1, epochs 1 or more, a batch 2 or "
                f"more: found {self.masked}, {self.warmup}, {self.epochs}, {self.batch}"
            )
        if self.learning_rate <= 0 or self.precision not in ("f32", "bf16"):
            raise InputError("the learning rate is over 0, the precision f32 or bf16")

    @property
    def highest_rate(self) -> float:
        """Return the highest learning rate at this batch."""
        return self.learning_rate * self.batch / 256

    @property
    def views(self) -> Recipe:
        """Return how pictures are cropped, turned and toned."""
        return Recipe(
            crop_area_low=self.crop_area_low,
            rotation_deg=self.rotation_deg,
            gain=0.2,
            gamma=0.2,
        )

    def to_json(self) -> dict[str, Any]:
        """Return every setting."""
        return asdict(self)
