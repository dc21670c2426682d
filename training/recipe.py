"""The recipe: every choice that training makes, its default, its limits and its meaning at once."""

import difflib
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.architecture import ARCHITECTURES, RESNET34
from neurosono.engine.contracts.errors import InputError

RECIPES_PATH = Path(__file__).parent / "recipes"
LOPO = "lopo"
RANDOM_WEIGHTS = "random"
IMAGENET_WEIGHTS = "imagenet"
INNER = "inner"
PAPER = "paper"
CHOICES = {
    "architecture": ARCHITECTURES,
    "selection": (INNER, PAPER),
    "precision": ("f32", "bf16", "f16"),
}
"""The words that a key may say, where not any word will do."""


def _knob(default: Any, means: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"means": means, "low": low, "high": high})


@dataclass(frozen=True)
class Recipe:
    """How members are trained. The defaults are those of Qi et al. 2025 (arXiv 2501.02000)."""

    architecture: str = _knob(RESNET34, f"the network: {', '.join(ARCHITECTURES)}")
    width: float = _knob(
        1.0,
        "channels of every layer, as a share of the network's; of a transformer, heads",
        0.125,
        2,
    )
    weights: str = _knob(
        IMAGENET_WEIGHTS,
        "start: random, imagenet (resnet34), or a file (.pth too) with torchvision's names, of a "
        "transformer with timm's or those of a masked autoencoder",
    )
    folds: int | str = _knob(
        LOPO, "patient-disjoint folds: a number, or lopo (one an anomalous patient)", 2, 1000
    )
    members: int = _knob(0, "networks to train, one a fold in turn; 0: one for each fold", 0, 1000)
    selection: str = _knob(
        INNER,
        "who chooses the epoch and stops early: inner, patients set aside for it; or paper, the "
        "held-out patients themselves, as published (optimistic)",
    )
    validation_share: float = _knob(
        0.15, "share of the training patients that chooses the epoch (inner)", 0.01, 0.5
    )
    measure_optimism: bool = _knob(
        True, "with inner selection, also judge by the epoch that paper would have chosen"
    )
    epochs: int = _knob(20, "times that every training frame is seen", 1, 10_000)
    patience: int = _knob(5, "full-size epochs without a better validation before stopping", 1)
    batch: int = _knob(128, "frames a step", 2, 4096)
    learning_rate: float = _knob(5e-4, "highest rate of AdamW", 1e-8, 1)
    weight_decay: float = _knob(0.05, "AdamW's decoupled weight decay", 0, 1)
    warmup_epochs: float = _knob(1, "epochs of linear warm-up", 0)
    final_rate_ratio: float = _knob(1e-6, "last learning rate as a share of the highest", 0, 1)
    label_smoothing: float = _knob(0.0, "share of each target spread over all classes", 0, 0.5)
    early_size_px: int = _knob(224, "input size of the early epochs; the cache's at most", 32)
    full_size_epochs: int = _knob(20, "last epochs, at the cache's size and eligible as best", 1)
    crop_area_low: float = _knob(0.08, "smallest random crop, as a share of the area", 0.01, 1)
    crop_aspect: float = _knob(4 / 3, "largest aspect ratio of the random crop", 1, 2)
    flip: float = _knob(0.5, "probability of a horizontal flip", 0, 1)
    rotation_deg: float = _knob(0.0, "largest random rotation", 0, 180)
    gain: float = _knob(0.0, "largest random change of contrast, as a share", 0, 0.9)
    gamma: float = _knob(0.0, "largest random change of log-gamma", 0, 1)
    precision: str = _knob("f32", "arithmetic of the convolutions: f32, bf16, or f16 (CUDA only)")
    seed: int = _knob(0, "every random choice follows from it", 0)

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name), each.default, each.metadata)
        if isinstance(self.folds, str) and self.folds != LOPO:
            raise InputError(f"folds must be a number or {LOPO}, found {self.folds!r}")
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                listed = f"{', '.join(words[:-1])} or {words[-1]}"
                raise InputError(f"{name} must be {listed}, found {getattr(self, name)!r}")

    @property
    def measures_optimism(self) -> bool:
        """Whether a run yields the paper's predictions beside the nested ones."""
        return self.measure_optimism and self.selection == INNER

    def size_at(self, epoch: int, full_px: int) -> int:
        """Return the input size in pixels of `epoch`, counted from 0."""
        return full_px if self.is_full_size(epoch) else min(self.early_size_px, full_px)

    def is_full_size(self, epoch: int) -> bool:
        """Whether `epoch` trains at the cache's size, and so may be chosen as the best."""
        return epoch >= self.epochs - self.full_size_epochs

    def to_json(self) -> dict[str, Any]:
        """Return every value, as it is saved with the bundle."""
        return asdict(self)

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Return what each key means."""
        return {each.name: str(each.metadata["means"]) for each in fields(cls)}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Recipe":
        """Make a recipe of a table; an unknown key is an error that names the nearest one."""
        known = [each.name for each in fields(cls)]
        for key in found:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0)
                raise InputError(f"a recipe has no {key!r}: did you mean {near[0]!r}?")
        return cls(**found)


def _check(name: str, value: Any, default: Any, metadata: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, found {value!r}: {metadata['means']}")
    elif isinstance(default, str):
        if not isinstance(value, str) and not (name == "folds" and isinstance(value, int)):
            raise InputError(f"{name} must be a word, found {value!r}: {metadata['means']}")
    elif not number or (isinstance(default, int) and name != "warmup_epochs" and value % 1 != 0):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise InputError(f"{name} must be {kind}, found {value!r}: {metadata['means']}")
    low, high = metadata["low"], metadata["high"]
    if number and ((low is not None and value < low) or (high is not None and value > high)):
        limits = f"at least {low}" if high is None else f"in {low} to {high}"
        raise InputError(f"{name} must be {limits}, found {value}: {metadata['means']}")


def load_recipe(where: str | Path | None, **overrides: Any) -> Recipe:
    """Read a recipe, a TOML file or a shipped one by name, over the defaults.

    `overrides` that are not None win over the file: they come from the command line.
    """
    found: dict[str, Any] = {}
    if where is not None:
        path = Path(where)
        shipped = RECIPES_PATH / f"{where}.toml"
        path = shipped if not path.exists() and shipped.exists() else path
        try:
            found = tomllib.loads(path.read_text())
        except FileNotFoundError as error:
            names = ", ".join(sorted(each.stem for each in RECIPES_PATH.glob("*.toml")))
            raise InputError(f"no recipe {where}: name a TOML file, or one of {names}") from error
        except (OSError, ValueError) as error:
            raise InputError(f"recipe {path} cannot be read: {error}") from error
    recipe = Recipe.from_json(found)
    return replace(recipe, **{key: value for key, value in overrides.items() if value is not None})
