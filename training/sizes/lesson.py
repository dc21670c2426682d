"""How a teacher teaches: whom, and what the student's answers are compared with."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional

from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.training.recipe import Recipe

VIEWS = ("same", "clean")
SEED_KEY = 7
"""Keeps the student's random choices apart from those of the members of the same seed."""


@dataclass(frozen=True)
class Lesson:
    """How the teacher teaches.

    `temperature` softens both sides: 2, the low end of what Hinton et al. found useful, for an
    ensemble's mean is soft already. `hard_share` is the share of the labels in the loss. `view`
    "same" lets the teacher judge every augmented picture, "clean" only once each cached frame: a
    third of the cost with three members, the less the more there are.
    """

    temperature: float = 2.0
    hard_share: float = 0.1
    view: str = "same"

    def __post_init__(self) -> None:
        if not 0.5 <= self.temperature <= 20:
            raise InputError(f"the temperature must be in 0.5 to 20, found {self.temperature}")
        if not 0 <= self.hard_share <= 1:
            raise InputError(f"the share of labels must be in 0 to 1, found {self.hard_share}")
        if self.view not in VIEWS:
            raise InputError(f"the teacher's view is one of {list(VIEWS)}, not {self.view!r}")

    def soften(self, probabilities: Tensor) -> Tensor:
        """(B, C) probabilities -> (B, C), as if their logits were divided by the temperature."""
        return (probabilities.clamp(min=1e-12).log() / self.temperature).softmax(1)

    def lose(self, logits: Tensor, teacher: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """Return the loss of logits (B, C) against probabilities (B, C) and labels (B,)."""
        soft = functional.kl_div(
            (logits / self.temperature).log_softmax(1),
            self.soften(teacher),
            reduction="batchmean",
        )
        hard = functional.cross_entropy(logits, target, weights)
        # T squared keeps the soft gradients as large as at temperature 1 (Hinton et al., section 2)
        return (1 - self.hard_share) * self.temperature**2 * soft + self.hard_share * hard


def split_validation(
    cache: Cache, patients: frozenset[str], recipe: Recipe
) -> tuple[frozenset[str], frozenset[str]]:
    """Deal `patients` out, label by label: those to learn from, those that select the epoch."""
    rng = np.random.default_rng([recipe.seed, SEED_KEY, 0])
    validation: set[str] = set()
    for label in cache.labels:
        some = sorted(name for name in patients if cache.label_of_patient[name] == label)
        if len(some) < 2:
            raise InputError(
                f"class {label} has {len(some)} patients that were trained on, but learning and "
                "validation need one each: add patients, or leave the class out"
            )
        share = min(max(1, round(recipe.validation_share * len(some))), len(some) - 1)
        validation.update(str(each) for each in rng.permutation(some)[:share])
    return patients - validation, frozenset(validation)
