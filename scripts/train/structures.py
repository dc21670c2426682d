"""`neurosono train structures`: the network that finds planes, structures and heads."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosono.scripts.train import detect_options as options
from neurosono.scripts.train.prepare import JsonOption

structures_app = typer.Typer(
    no_args_is_help=True,
    help="Find planes, structures and heads: `prepare` the data, `run` the training, `build` "
    "graphs of it, `evaluate` them on patients held out, `ship` them as a bundle.",
)

CacheArgument = Annotated[Path, typer.Argument(help="What `train structures prepare` made.")]


@structures_app.command()
def prepare(
    data: Annotated[Path, typer.Argument(help="A folder of real pictures with their tables.")],
    out: Annotated[Path, typer.Option(help="The prepared data: a new folder.")],
    phantoms: Annotated[int, typer.Option(min=0, help="Generated exams to add.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated exams.")] = 8100,
    json: JsonOption = None,
) -> None:
    """Letterbox real pictures, un-squeezed, and generated exams with their exact truth."""
    from itertools import chain

    from neurosono.scripts.console import counting
    from neurosono.scripts.train.detecting import tell_prepared
    from neurosono.scripts.train.structures_prepare import find_scale, take_phantoms
    from neurosono.training.detect.data import open_real, write_detect_data
    from neurosono.training.detect.tables import ATTRIBUTION, read_tables

    pictures = read_tables(data)
    with counting("letterboxing", len(pictures) + phantoms) as watch:
        real = (_watched(open_real(each, read_scale=find_scale), watch) for each in pictures)
        made = write_detect_data(
            out, chain(real, take_phantoms(phantoms, seed, watch)), ATTRIBUTION
        )
    tell_prepared(made, out, json)


def _watched(found: Any, watch: Any) -> Any:
    watch()
    return found


@structures_app.command()
def run(
    cache: CacheArgument,
    out: options.Run,
    fold: Annotated[
        int, typer.Option(min=-1, max=4, help="Whose patients are held out; -1 holds out nobody.")
    ] = 0,
    pictures: options.Pictures = 60_000,
    batch: options.Batch = 16,
    learning_rate: options.LearningRate = 2e-3,
    seed: options.Seed = 0,
    begin_with: Annotated[
        Path | None, typer.Option(help="An earlier run of this fold, to begin with its weights.")
    ] = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    workers: options.Workers = 0,
    minutes: options.Minutes = None,
    seconds: options.Seconds = None,
    json: JsonOption = None,
) -> None:
    """Train. Killed, or out of time? Run it again, and it goes on where its last checkpoint is."""
    from neurosono.scripts.train.detecting import learn
    from neurosono.training.detect.data import DetectData
    from neurosono.training.detect.earlier import Earlier
    from neurosono.training.detect.recipe import DetectRecipe
    from neurosono.training.detect.run import open_run
    from neurosono.training.detect.train import STATE_NAME

    earlier = Earlier.read(begin_with / STATE_NAME) if begin_with else None
    recipe = DetectRecipe(
        pictures=pictures,
        batch=batch,
        learning_rate=learning_rate,
        held_out=None if fold < 0 else fold,
        seed=seed,
        seconds=seconds or 0.0,
        glance=0.0 if earlier else DetectRecipe.glance,  # it knows heads from afar already
    )
    trainer = open_run(DetectData.load(cache), recipe, out, device, workers, threads, earlier)
    learn(trainer, out, minutes, json)


@structures_app.command()
def build(
    folder: options.RunArgument,
    cache: CacheArgument,
    json: JsonOption = None,
) -> None:
    """Build f32 and int8 graphs of a run, as far as it has come, each held to its limits."""
    from neurosono.scripts.train.detecting import build_run
    from neurosono.training.detect.data import DetectData

    build_run(DetectData.load(cache), folder, json)


@structures_app.command()
def ship(
    folder: options.RunArgument,
    out: options.NewBundle,
    name: options.Name = "structures",
    precision: options.Precisions = None,
    json: JsonOption = None,
) -> None:
    """Make a bundle of a run's built graphs, for `--also` and `neurosono.open_bundle`."""
    from neurosono.scripts.train.detecting import tell_shipped
    from neurosono.training.detect.ship import ship as write_bundle

    bundle = write_bundle(folder, out, name, tuple(precision or ("int8",)))
    tell_shipped(bundle, out, json)


@structures_app.command()
def evaluate(
    folders: Annotated[list[Path], typer.Argument(help="Runs; each judges its own fold.")],
    cache: Annotated[Path, typer.Option(help="What `train structures prepare` made.")],
    precision: Annotated[str, typer.Option(help="int8 or f32.")] = "int8",
    everyone: Annotated[
        bool, typer.Option(help="Judge all patients: these data are others than those trained on.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The report's folder. [default: report/ in the first run]")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Measure graphs, as they run, on patients that trained nothing, and write a report."""

    from neurosono.scripts.console import console, counting, write_json_report
    from neurosono.training.detect.data import DetectData
    from neurosono.training.detect.report import write_report
    from neurosono.training.detect.run import judge_runs

    data = DetectData.load(cache)
    with counting("judging", len(data.rows)) as watch:
        found = judge_runs(folders, data, precision, everyone, watch)
    where = write_report(out or folders[0] / "report", found)
    _print_figures(found)
    console.print(f"report: {where}", soft_wrap=True)
    write_json_report(json, found)


def _print_figures(found: dict[str, Any]) -> None:
    from rich.table import Table

    from neurosono.scripts.console import console
    from neurosono.training.report.words import say_interval as say

    for kind in ("real", "phantom"):
        if kind not in found:
            continue
        each = found[kind]
        table = Table(
            "",
            "AP50",
            "AP50-95",
            title=f"{kind}: {each['pictures']} pictures, {each['patients']} patients held out",
            title_justify="left",
        )
        for label, figures in each["structures"].items():
            if figures.get("unproven"):
                table.add_row(label, "unproven", "")
            else:
                table.add_row(label, say(figures["ap50"]), say(figures["ap50_95"]))
        console.print(table)
        if "macro_f1" in each["planes"]:
            console.print(f"macro-F1 of the three planes {say(each['planes']['macro_f1'])}")
        for name in ("hc_mm", "bpd_mm"):
            if name in each["heads"]:
                error = each["heads"][name]["mean_absolute"]
                console.print(f"{name}: mean absolute error {say(error)}")
