"""Who trains, who selects, who judges: always whole patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.contracts.errors import InputError
from training.recipe import LOPO, Recipe


@dataclass(frozen=True)
class Fold:
    """One split of the patients into three disjoint sets.

    `train` is learnt from, `validation` chooses the best epoch, `held_out` is judged once at the
    end and chooses nothing.
    """

    index: int
    train: frozenset[str]
    validation: frozenset[str]
    held_out: frozenset[str]

    def __post_init__(self) -> None:
        shared = (
            (self.train & self.validation)
            | (self.train & self.held_out)
            | (self.validation & self.held_out)
        )
        if shared:
            raise InputError(
                f"fold {self.index} has {len(shared)} patients in two splits, e.g. "
                f"{min(shared)!r}: the splits must be disjoint by patient"
            )


def make_folds(label_of: Mapping[str, str], labels: Sequence[str], recipe: Recipe) -> list[Fold]:
    """Split patients into stratified folds, each with its own inner validation.

    `label_of` maps each patient to its label. Raises `InputError` where a class is empty, has one
    patient only, or a fold would leave it fewer than two: one to learn from, one to select by.
    """
    by_label = {label: sorted(p for p in label_of if label_of[p] == label) for label in labels}
    for label, patients in by_label.items():
        if len(patients) < 2:
            found = "no patient" if not patients else "one patient only"
            raise InputError(f"class {label} has {found}: add patients, or leave the class out")
    count = len(label_of) if recipe.folds == LOPO else int(recipe.folds)
    if count > len(label_of):
        raise InputError(f"{count} folds need {count} patients or more, found {len(label_of)}")
    rng = np.random.default_rng([recipe.seed, 0])
    held_out: list[set[str]] = [set() for _ in range(count)]
    dealt = 0
    for patients in by_label.values():  # dealt on from where the last class stopped: even folds
        for patient in rng.permutation(patients):
            held_out[dealt % count].add(str(patient))
            dealt += 1
    return [_make_fold(index, out, by_label, recipe) for index, out in enumerate(held_out)]


def _make_fold(
    index: int, held_out: set[str], by_label: Mapping[str, Sequence[str]], recipe: Recipe
) -> Fold:
    rng = np.random.default_rng([recipe.seed, 1, index])
    train: set[str] = set()
    validation: set[str] = set()
    for label, patients in by_label.items():
        left = [patient for patient in patients if patient not in held_out]
        if len(left) < 2:
            raise InputError(
                f"fold {index} leaves {len(left)} patients of class {label}, but training and "
                "validation need one each: use fewer folds or add patients"
            )
        share = min(max(1, round(recipe.validation_share * len(left))), len(left) - 1)
        order = [str(patient) for patient in rng.permutation(left)]
        validation.update(order[:share])
        train.update(order[share:])
    return Fold(index, frozenset(train), frozenset(validation), frozenset(held_out))
