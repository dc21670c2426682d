"""Who trains, who selects, who judges: always whole patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import NORMAL_LABEL
from neurosono.training.recipe import INNER, LOPO, Recipe

NORMAL_PIECES = 5
"""Patient-disjoint pieces of the normal patients in lopo (Qi et al. 2025, "Dividing dataset")."""

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fold:
    """One split of the patients into three disjoint sets.

    `train` is learnt from and `validation` chooses the best epoch (empty with paper selection,
    where `held_out` does). Nothing is learnt from `held_out`; the fold's member judges those of
    them that are not `spared`, whom another fold's member judges: each patient is judged once.
    """

    index: int
    train: frozenset[str]
    validation: frozenset[str]
    held_out: frozenset[str]
    spared: frozenset[str] = NOBODY

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

    @property
    def judged(self) -> frozenset[str]:
        """The patients whose held-out predictions this fold's member makes."""
        return self.held_out - self.spared


def make_folds(
    label_of: Mapping[str, str],
    labels: Sequence[str],
    recipe: Recipe,
    plane_of: Mapping[str, str] | None = None,
) -> list[Fold]:
    """Split patients into stratified folds, each with its own inner validation.

    `label_of` maps each patient to its label, `plane_of` to the planes seen of it, over which its
    class is dealt evenly. Leave-one-patient-out makes a fold of each anomalous patient; the normal
    patients stand in five pieces (or as many as there are patients or folds), and every fold holds
    out one piece. Raises `InputError` where a class is empty, has one patient only, or a fold would
    leave it too few to learn from and to select by.
    """
    by_label = {label: sorted(p for p in label_of if label_of[p] == label) for label in labels}
    for label, patients in by_label.items():
        if len(patients) < 2:
            found = "no patient" if not patients else "one patient only"
            raise InputError(f"class {label} has {found}: add patients, or leave the class out")
    rng = np.random.default_rng([recipe.seed, 0])
    queues = {
        label: _shuffle(patients, plane_of or {}, rng) for label, patients in by_label.items()
    }
    normal = queues.pop(NORMAL_LABEL, []) if recipe.folds == LOPO else []
    rest = [patient for queue in queues.values() for patient in queue]
    count = len(rest) if recipe.folds == LOPO else int(recipe.folds)
    if count > len(label_of):
        raise InputError(f"{count} folds need {count} patients or more, found {len(label_of)}")
    # Each class is dealt on from where the last one stopped: even folds.
    held_out = [set(rest[at::count]) for at in range(count)]
    spared = _deal_normal(normal, held_out)
    return [
        _make_fold(index, out, spared[index], by_label, recipe)
        for index, out in enumerate(held_out)
    ]


def _shuffle(
    patients: Sequence[str], plane_of: Mapping[str, str], rng: np.random.Generator
) -> list[str]:
    """Shuffle, then bring patients of one plane together, so that dealing spreads each plane."""
    order = [str(patient) for patient in rng.permutation(patients)]
    return sorted(order, key=lambda patient: plane_of.get(patient, ""))


def _deal_normal(normal: Sequence[str], held_out: list[set[str]]) -> list[set[str]]:
    """Add a piece of the normal patients to every fold; return whom each fold need not judge.

    A piece is held out by several folds. Its patients are dealt among them to be judged, so that a
    normal patient, like an anomalous one, is judged once and by one member.
    """
    spared: list[set[str]] = [set() for _ in held_out]
    pieces = min(NORMAL_PIECES, len(normal), len(held_out))
    for piece in range(pieces):
        patients = normal[piece::pieces]
        folds = range(piece, len(held_out), pieces)
        for at, fold in enumerate(folds):
            held_out[fold].update(patients)
            spared[fold].update(set(patients) - set(patients[at :: len(folds)]))
    return spared


def _make_fold(
    index: int,
    held_out: set[str],
    spared: set[str],
    by_label: Mapping[str, Sequence[str]],
    recipe: Recipe,
) -> Fold:
    rng = np.random.default_rng([recipe.seed, 1, index])
    train: set[str] = set()
    validation: set[str] = set()
    inner = recipe.selection == INNER
    for label, patients in by_label.items():
        left = [patient for patient in patients if patient not in held_out]
        if len(left) < 1 + inner:
            needs = "training and validation need one each" if inner else "training needs one"
            raise InputError(
                f"fold {index} leaves {len(left)} of the {len(patients)} patients of class "
                f"{label}, but {needs}: use fewer folds or add patients"
            )
        share = min(max(1, round(recipe.validation_share * len(left))), len(left) - 1)
        order = [str(patient) for patient in rng.permutation(left)]
        validation.update(order[: share * inner])
        train.update(order[share * inner :])
    return Fold(
        index, frozenset(train), frozenset(validation), frozenset(held_out), frozenset(spared)
    )
