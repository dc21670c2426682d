"""A run's folder: begun, gone on with, judged."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.files import writing
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.earlier import Earlier
from neurosono.training.detect.evaluate import EVERY, judge_rows
from neurosono.training.detect.export import LIMITS, graph_path
from neurosono.training.detect.figures import measure
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.subject import STRUCTURES_SUBJECT, Subject
from neurosono.training.detect.train import STATE_NAME, DetectTrainer

RECIPE_NAME = "recipe.json"
CHECKPOINT_STEPS = 50
CHECKPOINT_S = 60.0


def open_run(
    data: DetectData,
    recipe: DetectRecipe,
    out: Path,
    device: str = "cpu",
    workers: int = 0,
    parts: int = 1,
    earlier: Earlier | None = None,
) -> DetectTrainer:
    """Begin a run in `out`, or go on with the one that is there; `earlier` is what it begins with.

    Raises `InputError` where that one has another recipe or other data, or where `earlier` has seen
    whom it would hold out, `OutputError` where `out` cannot be written.
    """
    if earlier is not None:
        earlier.check(recipe.held_out)
        recipe = replace(recipe, begun_from=earlier.digest)
    trainer = DetectTrainer(data, recipe, device, workers, parts)
    if earlier is not None:
        trainer.begin_with(earlier)
    if (out / STATE_NAME).is_file():
        trainer.resume(out / STATE_NAME)
        return trainer
    with writing(out, "choose another --out"):
        out.mkdir(parents=True, exist_ok=True)
        (out / RECIPE_NAME).write_text(json.dumps(recipe.to_json(), indent=2) + "\n")
    return trainer


def read_recipe(folder: Path, subject: Subject = STRUCTURES_SUBJECT) -> DetectRecipe:
    """Return a run's recipe; raise `InputError` where the folder holds none."""
    try:
        return DetectRecipe(**json.loads((folder / RECIPE_NAME).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder} holds no run ({error}): make one with `{subject.command} run`"
        ) from error


def reopen_run(data: DetectData, folder: Path) -> DetectTrainer:
    """Return a run as far as it has come; raise `InputError` where there is none."""
    trainer = DetectTrainer(data, read_recipe(folder, data.subject))
    if not (folder / STATE_NAME).is_file():
        raise InputError(f"{folder} holds no checkpoint yet: let it train on")
    trainer.resume(folder / STATE_NAME)
    return trainer


def train(
    trainer: DetectTrainer,
    out: Path,
    minutes: float | None,
    watch: Callable[[int, float], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train to the end, or to the first checkpoint after `minutes`.

    A checkpoint every 50 steps; every minute where views are drawn on the device. A recipe's
    seconds count from the start, or go on where the last checkpoint was.
    """
    begun = saved = clock()
    before, seconds = trainer.part, trainer.recipe.seconds

    def pace(_: int) -> float:
        return min(1.0, before + (clock() - begun) / seconds)

    losses: list[dict[str, float]] = []

    def hear(done: int, found: dict[str, float]) -> None:
        losses.append(found)
        watch(done, sum(found.values()))

    while trainer.part < 1:
        trainer.fit(trainer.done + CHECKPOINT_STEPS, hear, pace if seconds else None)
        if trainer.resident and trainer.part < 1 and clock() - saved < CHECKPOINT_S:
            continue
        mean = {name: float(np.mean([each[name] for each in losses])) for name in losses[0]}
        trainer.history.lines.append({"step": float(trainer.done), **mean})
        losses.clear()
        trainer.save(out / STATE_NAME)
        if trainer.resident:
            saved = clock()
        if minutes is not None and clock() - begun > 60 * minutes:
            return


def judge_runs(
    folders: Sequence[Path],
    data: DetectData,
    precision: str,
    everyone: bool,
    watch: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the figures of runs, each judging the fold that it held out, pooled.

    With `everyone` each judges all patients: right only where the data are of other patients.
    Raises `InputError` where two runs held out the same fold, one nobody, or a graph is missing.
    """
    if precision not in LIMITS:
        raise InputError(f"a precision is one of {', '.join(LIMITS)}, found {precision!r}")
    folds = [read_recipe(folder).held_out for folder in folders]
    if not everyone and (None in folds or len(set(folds)) != len(folds)):
        raise InputError(
            f"each run must have held out another fold, found {folds}: name runs of different "
            "folds, or judge other patients with --everyone"
        )
    judged = []
    for folder, fold in zip(folders, folds, strict=True):
        graph = graph_path(folder, precision)
        if not graph.is_file():
            raise InputError(f"{graph} is missing: make it with `neurosono train structures build`")
        rows = np.arange(len(data.rows)) if everyone else data.choose(fold, held_out=True)
        judged.extend(judge_rows(graph, data, rows, watch, EVERY))
    if not judged:
        raise InputError(f"no patient of these data is in folds {folds}: evaluate other data")
    return {
        "runs": [folder.name for folder in folders],
        "folds": folds,
        "precision": precision,
        "data": data.digest,
        **measure(judged, data.size_px),
    }
