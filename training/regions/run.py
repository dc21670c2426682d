"""A run's folder: an arm learnt in folds, each judging whom it held out, and once on everyone."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.files import write_whole, writing
from neurosono.training.regions.data import Pair, PairData, fold_of
from neurosono.training.regions.recipe import PairRecipe
from neurosono.training.regions.train import fit, judge, save_weights

RECIPE_NAME = "recipe.json"
EVERYONE = "everyone.safetensors"
SCHEMA = "neurosono-regions-run/1"

Hear = Callable[[str, int, float], None]
"""Hears which part of the run is being trained, the step, and its loss."""


@dataclass(frozen=True)
class Judged:
    """One pair, judged by whom it taught nothing.

    `lean` is the log-odds of abnormal, None where an exam would wait for a plane.
    """

    patient: str
    abnormal: bool | None
    finding: str
    lean: float | None

    @classmethod
    def of(cls, pair: Pair, contributions: Floats | None) -> Self:
        """Add up what a pair's regions speak for."""
        lean = None if contributions is None else float(contributions.sum())
        return cls(pair.patient, pair.abnormal, pair.finding, lean)


def train_run(
    data: PairData, recipe: PairRecipe, out: Path, hear: Hear = lambda *_: None
) -> list[Judged]:
    """Train each fold and then everyone; returns every pair, judged by the fold that held it out.

    What is in `out` already is not trained again. Raises `InputError` where that is of another
    recipe or other data, `OutputError` where it cannot be written.
    """
    begin_run(out, recipe, data.digest)
    pairs = data.pairs
    for fold in range(recipe.folds):
        held = [each for each in pairs if fold_of(each.patient, recipe.folds) == fold]
        others = [each for each in pairs if fold_of(each.patient, recipe.folds) != fold]
        where = fold_path(out, fold)
        if where.is_file():
            continue
        if not held:
            raise InputError(f"no patient is in fold {fold}: prepare more pairs, or fewer --folds")
        network = fit(data, others, recipe, _tell(hear, f"fold {fold}"))
        leans = judge(network, data, held, recipe)
        judged = [vars(Judged.of(*each)) for each in zip(held, leans, strict=True)]
        write_whole(where, json.dumps(judged) + "\n")
    if not (out / EVERYONE).is_file():
        save_weights(fit(data, pairs, recipe, _tell(hear, "everyone")), out / EVERYONE)
    return read_judged(out)


def _tell(hear: Hear, part: str) -> Callable[[int, float], None]:
    return lambda step, loss: hear(part, step, loss)


def fold_path(out: Path, fold: int) -> Path:
    """Return where the held-out pairs of a fold are judged."""
    return out / f"fold-{fold}.json"


def begin_run(out: Path, recipe: PairRecipe, digest: str) -> None:
    """Make a run's folder, or see that the one that is there is of the same recipe and data."""
    card = {"schema": SCHEMA, "recipe": recipe.to_json(), "data": digest}
    if (out / RECIPE_NAME).is_file():
        if read_card(out) != card:
            raise InputError(
                f"{out} holds a run of another recipe or of other data: name a new folder"
            )
        return
    with writing(out, "choose another --out"):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / RECIPE_NAME, json.dumps(card, indent=2) + "\n")


def read_card(folder: Path) -> dict[str, Any]:
    """Return a run's recipe and data; raise `InputError` where the folder holds none."""
    try:
        card: dict[str, Any] = json.loads((folder / RECIPE_NAME).read_bytes())
        if card["schema"] != SCHEMA:
            raise KeyError("schema")
        PairRecipe(**card["recipe"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{folder} holds no run ({error!r}): make one with `neurosono train regions run`"
        ) from error
    return card


def read_judged(folder: Path) -> list[Judged]:
    """Return a run's pairs, each judged by the fold that held it out; raises `InputError`."""
    recipe = PairRecipe(**read_card(folder)["recipe"])
    found: list[Judged] = []
    for fold in range(recipe.folds):
        try:
            lines = json.loads(fold_path(folder, fold).read_bytes())
            found += [Judged(**line) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{folder} has not judged fold {fold} ({type(error).__name__}): run it again, and "
                "it goes on"
            ) from error
    return found
