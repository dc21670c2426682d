"""`neurosono train versus` and `atlas`: architectures in one table, and real pictures for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption

if TYPE_CHECKING:
    from neurosono.engine.contracts.predictions import Predictions

PROBE_NAME = "shortcut probe"


def versus(
    bundles: Annotated[
        list[Path],
        typer.Argument(help="The first is the reference; without --cache, all of one training's."),
    ],
    positive: Annotated[str, typer.Option(help="The class that is looked for.")],
    cache: Annotated[
        Path | None,
        typer.Option(help="Judge these unseen patients; without it, the held-out predictions."),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(help="The training cache: also score a probe that sees no anatomy on it."),
    ] = None,
    level: Annotated[str, typer.Option(help="What is printed: frames or exams.")] = "frames",
    json: JsonOption = None,
) -> None:
    """Compare bundles of two classes on the same patients, with paired intervals."""
    from neurosono.engine.contracts.errors import InputError
    from neurosono.engine.contracts.notice import NOTICE
    from neurosono.scripts.console import check_json_place, write_json_report
    from neurosono.training.versus import compare

    check_json_place(json)
    if level not in ("frames", "exams"):
        raise InputError(f"--level is frames or exams, found {level!r}")
    if probe is not None and cache is not None:
        raise InputError("--probe goes with the held-out predictions: leave --cache out")
    named = [(bundle.name, _read(bundle, cache)) for bundle in bundles]
    if probe is not None:
        named.append((PROBE_NAME, _probe(bundles[0], probe)))
    found = compare(named, positive)
    _print(found, level, "unseen patients" if cache else "held-out patients")
    write_json_report(json, {"notice": NOTICE} | found)


def _read(bundle: Path, cache: Path | None) -> "Predictions":
    from neurosono.calibration.run import judge_unseen, read_out_of_fold
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.choice import open_engine
    from neurosono.engine.contracts.cache import Cache

    loaded = Bundle.load(bundle)
    if cache is None:
        return read_out_of_fold(loaded)
    engine = "auto" if loaded.manifest.engines else "torch"
    unseen = Cache.load(cache)
    # one name for each patient, whatever the bundles were trained on
    return judge_unseen(loaded, unseen, open_engine(loaded, engine).backend, unseen.digest)


def _probe(bundle: Path, cache: Path) -> "Predictions":
    """Judge the cache on the folds that the bundle was trained on."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.training.probe import judge_by_shortcut
    from neurosono.training.recipe import Recipe
    from neurosono.training.run import find_planes
    from neurosono.training.splits import make_folds

    recipe = Recipe.from_json(dict(Bundle.load(bundle).manifest.card["recipe"]))
    data = Cache.load(cache)
    folds = make_folds(data.label_of_patient, data.labels, recipe, find_planes(data))
    return judge_by_shortcut(data, folds[: recipe.members or len(folds)])


def _print(found: dict[str, Any], level: str, of: str) -> None:
    from rich.table import Table

    from neurosono.engine.contracts.notice import NOTICE
    from neurosono.scripts.console import console
    from neurosono.training.report.words import say_interval as say
    from neurosono.training.versus import MEASURES

    rows = found[level]
    first = next(iter(rows.values()))
    title = f"{found['positive']}: {first['count']} {level} of {first['patients']} {of}"
    table = Table("", *MEASURES, title=title, caption=NOTICE)
    for name, row in rows.items():
        table.add_row(name, *(say(row[key]) for key in MEASURES))
        if "less_first" in row:
            differences = (say(row["less_first"][key], "+.3f") for key in MEASURES)
            table.add_row("  less the first", *differences, style="dim")
    console.print(table)


def atlas(
    data: Annotated[Path, typer.Argument(help="A folder with atlas.csv and its pictures.")],
    out: Annotated[Path, typer.Option(help="A new folder for the tables.")],
) -> None:
    """List an atlas's ventriculomegaly against its other findings, and against normals.

    One picture of each original; whoever has colpocephaly or hydranencephaly is left out, whose
    ventricles are wide by definition. Beside normals of another source any network tells the
    sources apart: that table is there to show it.
    """
    from neurosono.scripts.console import console
    from neurosono.training.atlas import write_tables

    for name, counts in write_tables(data, out).items():
        said = ", ".join(f"{count} {label}" for label, count in counts.items())
        console.print(f"{out / name}: {said}", soft_wrap=True)
