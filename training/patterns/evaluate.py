"""A run's figures and rules: measured, written beside it, and shipped with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.files import writing
from neurosono.engine.patterns.rules import CARD_KEY
from neurosono.engine.structures.weeks import CARD_KEY as WEEKS_KEY
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.export import graph_path
from neurosono.training.detect.run import read_recipe
from neurosono.training.detect.ship import ship as ship_run
from neurosono.training.patterns.figures import measure
from neurosono.training.patterns.judge import judge_patterns
from neurosono.training.patterns.subject import FINDING_WEEKS, PATTERNS_SUBJECT

FIGURES_NAME = "patterns-figures.json"


def evaluate(
    folder: Path, cache: Path, test: Path | None, precision: str, watch: Callable[[], None]
) -> dict[str, Any]:
    """Set a run's thresholds on its fold, measure its graph, write both into the run's folder.

    Phantoms are those of `test`, prepared with another seed, or those of the fold. Raises
    `InputError` where a graph is missing or the data cannot be.
    """
    graph = graph_path(folder, precision)
    if not graph.is_file():
        raise InputError(f"{graph} is missing: make it with `{PATTERNS_SUBJECT.command} build`")
    data = DetectData.load(cache, PATTERNS_SUBJECT)
    fold = read_recipe(folder, PATTERNS_SUBJECT).held_out
    held_out = judge_patterns(graph, data, data.choose(fold, held_out=True), watch)
    others = held_out
    if test is not None:
        more = DetectData.load(test, PATTERNS_SUBJECT)
        trained_on = {row.patient for row in data.rows}
        if trained_on & {row.patient for row in more.rows}:
            raise InputError(f"{test} has patients of {cache}: prepare it with another --seed")
        others = judge_patterns(graph, more, np.arange(len(more.rows)), watch)
    found = {
        "run": folder.name,
        "fold": fold,
        "precision": precision,
        "data": data.digest,
        "test": "fold" if test is None else more.digest,
        **measure(held_out, others),
    }
    with writing(folder):
        (folder / FIGURES_NAME).write_text(json.dumps(found, indent=2) + "\n")
    return found


def ship(folder: Path, out: Path, name: str, precisions: tuple[str, ...]) -> Bundle:
    """Write a bundle of a run's graphs with its rules and figures.

    Raises `InputError` where the run was not built or not evaluated, `OutputError`.
    """
    try:
        measured = json.loads((folder / FIGURES_NAME).read_bytes())
        rules = measured.pop("rules")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder} has no thresholds ({error!r}): set them with "
            f"`{PATTERNS_SUBJECT.command} evaluate`"
        ) from error
    more = {CARD_KEY: rules, WEEKS_KEY: list(FINDING_WEEKS), "measured": measured}
    return ship_run(folder, out, name, precisions, PATTERNS_SUBJECT, more)
