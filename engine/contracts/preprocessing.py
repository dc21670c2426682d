"""How a region of grey pixels becomes the network's input: the one description of it.

`engine.preprocess` carries it out, in training, replay and live alike.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from neurosono.engine.contracts.codec import read_plain, to_plain
from neurosono.engine.contracts.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""The statistics that torchvision's ResNet34 weights were trained with, for pixels in 0 to 1."""


class Fit(StrEnum):
    """How a region that is not square is brought into the network's square."""

    LETTERBOX = "letterbox"
    """The whole region, scaled to fit, black bars around it: nothing at the edge is lost."""
    CENTER_CROP = "center-crop"
    """The paper's way: the short side to `resize_px`, then the middle `size_px` square."""


@dataclass(frozen=True)
class PreprocessingSpec:
    """From region to input: `size_px` is the input's side, `resize_px` used by center-crop only."""

    size_px: int = 224
    fit: Fit = Fit.LETTERBOX
    resize_px: int = 256
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 32 <= self.size_px <= 1024:
            raise InputError(f"size_px must be in 32 to 1024, found {self.size_px}")
        if self.resize_px < self.size_px:
            raise InputError(f"resize_px {self.resize_px} is below size_px {self.size_px}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError("mean and std must be three numbers each, std above zero")

    @property
    def geometry(self) -> tuple[int, Fit, int | None]:
        """What of it makes the square; the graph itself normalises."""
        cropped = self.fit is Fit.CENTER_CROP
        return self.size_px, self.fit, self.resize_px if cropped else None

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's `preprocessing` object."""
        said: dict[str, Any] = to_plain(self)
        return said

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "PreprocessingSpec":
        """Read the manifest's `preprocessing` object; raise `InputError` on anything unknown."""
        fit = found.get("fit", Fit.LETTERBOX) if isinstance(found, dict) else Fit.LETTERBOX
        if fit not in set(Fit):
            raise InputError(f"fit must be one of {[str(f) for f in Fit]}, found {fit!r}")
        return read_plain("preprocessing", found, cls)
