"""`neurosono train regions`: a verdict on two planes, from pairs to a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neurosono.engine.bundle import Bundle
    from neurosono.training.regions.data import Made
    from neurosono.training.regions.ship import Features, Fitted

regions_app = typer.Typer(
    no_args_is_help=True,
    help="Judge six regions of two planes: `prepare` pairs, `run` the training, `ship` it as a "
    "bundle, `evaluate` runs and bundles.",
)

CacheArgument = Annotated[Path, typer.Argument(help="What `train regions prepare` made.")]
FinderOption = Annotated[
    str, typer.Option(help="A bundle of structures, whose detector finds the boxes.")
]


@regions_app.command()
def prepare(
    out: Annotated[Path, typer.Option(help="The prepared pairs: a new folder.")],
    finder: FinderOption = "structures",
    pairs: Annotated[
        str, typer.Option(help="How many normal and abnormal phantoms; the paper's by default.")
    ] = "218:101",
    views: Annotated[int, typer.Option(min=1, help="Pictures of each plane of a phantom.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the phantoms.")] = 8200,
    real: Annotated[
        Path | None,
        typer.Option(help="Instead: a folder of real pictures with their tables."),
    ] = None,
    again: Annotated[
        list[Path] | None,
        typer.Option(
            help="Instead: prepared pairs, which --finder is to look at; repeated, they are joined."
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Make pairs of planes, and let a detector find what is on them."""

    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.errors import InputError
    from neurosono.engine.contracts.manifest import STRUCTURES
    from neurosono.scripts.console import console, counting, write_json_report
    from neurosono.scripts.phantom import parse_pairs
    from neurosono.scripts.train.regions_prepare import (
        find_real_pairs,
        take_phantom_pairs,
        take_real_pairs,
    )
    from neurosono.training.detect.tables import ATTRIBUTION
    from neurosono.training.regions.data import (
        PairData,
        join_attribution,
        look_again,
        look_at,
        write_pair_data,
    )

    if real is not None and again:
        raise InputError("give --real or --again, one of the two")
    graph = _open_finder(Bundle.load(finder, kind=STRUCTURES))
    made: Iterable[Made]
    attribution: tuple[str, ...] = ()
    with counting("pairs") as watch:
        if again:
            before = [PairData.load(each) for each in again]
            made, attribution = look_again(before), join_attribution(before)
        elif real is not None:
            made, attribution = take_real_pairs(find_real_pairs(real), watch), ATTRIBUTION
        else:
            made = take_phantom_pairs(*parse_pairs(pairs), views, seed, watch)
        data = write_pair_data(out, look_at(made, graph), attribution)
    women = data.pairs
    found = {
        "out": str(out),
        "pictures": len(data.rows),
        "women": len(women),
        "abnormal": sum(each.abnormal is True for each in women),
        "no_head_found": sum(row.seen.head is None for row in data.rows),
        "digest": data.digest,
    }
    console.print(
        f"{found['women']} women, {found['pictures']} pictures; the detector finds no head on "
        f"{found['no_head_found']}"
    )
    write_json_report(json, found)


def _open_finder(bundle: "Bundle") -> Any:
    from neurosono.engine.kinds.structures import BACKEND
    from neurosono.engine.structures.graph import StructuresGraph

    entry = bundle.engine(BACKEND, None, None)
    path = next(file.path for file in entry.files if file.path.endswith(".xml"))
    return StructuresGraph(bundle.root / path, 1)


@regions_app.command()
def run(
    cache: CacheArgument,
    out: Annotated[Path, typer.Option(help="The run's folder; an unfinished run goes on in it.")],
    arm: Annotated[
        str,
        typer.Option(
            help="both, trans-ventricular or trans-cerebellum regions, or whole pictures."
        ),
    ] = "both",
    folds: Annotated[int, typer.Option(min=2, help="Parts of the women, each held out once.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Batches in each training.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    json: JsonOption = None,
) -> None:
    """Train each fold, judging whom it held out, then everyone: minutes on one core."""
    import torch
    from rich.progress import Progress

    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.regions.data import PairData
    from neurosono.training.regions.figures import measure
    from neurosono.training.regions.recipe import PairRecipe
    from neurosono.training.regions.run import train_run

    torch.set_num_threads(threads)
    recipe = PairRecipe(arm=arm, steps=steps, folds=folds, seed=seed)
    with Progress(console=console) as bar:
        task = bar.add_task("training", total=(folds + 1) * steps)

        def hear(part: str, step: int, loss: float) -> None:
            del step
            bar.update(task, advance=1, description=f"{part}, loss {loss:.3f}")

        judged = train_run(PairData.load(cache), recipe, out, hear)
    found = measure(judged)
    _print_figures({arm: found})
    write_json_report(json, {"out": str(out), "arm": arm, **found})


@regions_app.command()
def ship(
    folder: Annotated[Path, typer.Argument(help="A run of the arm `both`.")],
    tuning: Annotated[
        Path, typer.Option(help="Prepared phantom pairs that taught nothing: the operating point.")
    ],
    unlike: Annotated[
        Path, typer.Option(help="Prepared real pairs: half of the women say what is unfamiliar.")
    ],
    out: Annotated[Path, typer.Option(help="The bundle: a new folder.")],
    finder: FinderOption = "structures",
    name: Annotated[str, typer.Option(help="By which its readings are named.")] = "regions",
    json: JsonOption = None,
) -> None:
    """Make a bundle of a run, with a copy of the detector that finds its boxes."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.manifest import STRUCTURES
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.regions.data import PairData
    from neurosono.training.regions.ship import ship as write_bundle

    bundle = write_bundle(
        folder,
        Bundle.load(finder, kind=STRUCTURES),
        PairData.load(tuning),
        PairData.load(unlike),
        out,
        _fit_familiar,
        name,
    )
    size = sum((out / file.path).stat().st_size for file in bundle.manifest.files)
    point = bundle.manifest.card["operating_point"]
    console.print(
        f"bundle {out}, {size / 1e6:.1f} MB, sha256 {bundle.manifest.digest[:12]}…; operating "
        f"point on {point['women']} women",
        soft_wrap=True,
    )
    said = {"out": str(out), "sha256": bundle.manifest.digest, "bytes": size}
    write_json_report(json, {**said, "card": bundle.manifest.card})


def _fit_familiar(own: "Features", other: "Features") -> "Fitted":
    from neurosono.calibration.familiarity import Look, fit_familiarity
    from neurosono.engine.regions.graph import EARLY

    return fit_familiarity(Look(*own), Look(*other), EARLY)


@regions_app.command()
def evaluate(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Runs, each an arm, judged by its own folds.")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="A bundle to judge the pairs of --cache with, as it runs.")
    ] = None,
    cache: Annotated[
        list[Path] | None, typer.Option(help="Prepared pairs of other women; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The report's folder.")] = Path("regions-report"),
    json: JsonOption = None,
) -> None:
    """Set arms side by side, and judge other women with a bundle, plane by plane as in an exam."""
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.regions.figures import measure
    from neurosono.training.regions.report import write_report
    from neurosono.training.regions.run import read_card, read_judged

    if not folders and not (bundle and cache):
        raise InputError("name runs, or a --bundle and the --cache that it is to judge")
    arms = {read_card(each)["recipe"]["arm"]: measure(read_judged(each)) for each in folders or ()}
    found: dict[str, Any] = {"arms": arms, "bundles": {}}
    if bundle is not None:
        found["bundles"] = _judge_bundle(bundle, cache or [])
    where = write_report(out, found)
    _print_figures(arms)
    for name, each in found["bundles"].items():
        console.print(
            f"{name}: {each['women']} women, {each['states']}, called abnormal "
            f"{each['called_abnormal']['value']:.1%}"
        )
        if "auc" in each:
            _print_figures({name: each})
    console.print(f"report: {where}", soft_wrap=True)
    write_json_report(json, found)


def _judge_bundle(bundle: str, caches: list[Path]) -> dict[str, Any]:
    """Return the figures of each cache; of real women, of those who fitted nothing."""

    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.manifest import REGIONS
    from neurosono.scripts.console import counting
    from neurosono.training.regions.data import PairData, fold_of
    from neurosono.training.regions.evaluate import describe, examine

    loaded = Bundle.load(bundle, kind=REGIONS)
    found = {}
    for cache in caches:
        data = PairData.load(cache)
        pairs = data.pairs
        if data.digest == loaded.manifest.card.get("unlike"):
            pairs = [each for each in pairs if fold_of(each.patient, 2) == 1]
        with counting(f"judging {cache.name}", len(pairs)) as watch:
            exams = examine(loaded, data, pairs, watch)
        found[cache.name] = {"data": data.digest, **describe(exams)}
    return found


def _print_figures(arms: dict[str, Any]) -> None:
    from rich.table import Table

    from neurosono.scripts.console import console
    from neurosono.training.report.words import say_interval as say

    if not arms:
        return
    table = Table("", "women", "not judged", "AUC", "sensitivity", "specificity", "F1")
    for arm, each in arms.items():
        women = f"{each['normal']} + {each['abnormal']}"
        figures = [say(each[name]) for name in ("auc", "sensitivity", "specificity", "f1")]
        table.add_row(arm, women, str(each["not_judged"]), *figures)
    console.print(table)
