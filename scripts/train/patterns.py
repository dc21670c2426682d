"""`neurosono train patterns`: the structures' detector, which finds finding patterns as well."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts.train import detect_options as options
from neurosono.scripts.train.prepare import JsonOption

patterns_app = typer.Typer(
    no_args_is_help=True,
    help="Find patterns beside the normal structures: `prepare` the data, `run` the training, "
    "`build` graphs of it, `evaluate` them and set their thresholds, `ship` them as a bundle.",
)

CacheArgument = Annotated[Path, typer.Argument(help="What `train patterns prepare` made.")]


@patterns_app.command()
def prepare(
    out: Annotated[Path, typer.Option(help="The prepared data: a new folder.")],
    structures: Annotated[
        Path | None,
        typer.Argument(help="What `train structures prepare` made: its real pictures show none."),
    ] = None,
    phantoms: Annotated[int, typer.Option(min=1, help="Generated exams, findings in turn.")] = 900,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated exams.")] = 8200,
    json: JsonOption = None,
) -> None:
    """Generate exams with finding patterns and their exact truth; real pictures show none."""
    from itertools import chain

    from neurosono.scripts.console import counting
    from neurosono.scripts.train.detecting import tell_prepared
    from neurosono.scripts.train.patterns_prepare import take_findings
    from neurosono.training.detect.data import DetectData, write_detect_data
    from neurosono.training.patterns.real import take_normals
    from neurosono.training.patterns.subject import PATTERNS_SUBJECT

    cohort = DetectData.load(structures) if structures else None
    with counting("generating", phantoms) as watch:
        made = write_detect_data(
            out,
            chain(
                take_normals(cohort) if cohort else (),
                take_findings(phantoms, seed, watch),
            ),
            cohort.attribution if cohort else (),
            PATTERNS_SUBJECT,
        )
    tell_prepared(made, out, json)


@patterns_app.command()
def run(
    cache: CacheArgument,
    out: options.Run,
    fold: Annotated[
        int, typer.Option(min=0, max=4, help="Whose patients are held out, for the thresholds.")
    ] = 0,
    pictures: options.Pictures = 32_000,
    batch: options.Batch = 16,
    learning_rate: options.LearningRate = 1e-3,
    seed: options.Seed = 0,
    begin_with: Annotated[
        Path | None,
        typer.Option(help="A run of `train structures`, or of this, of the same fold."),
    ] = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    workers: options.Workers = 0,
    minutes: options.Minutes = None,
    json: JsonOption = None,
) -> None:
    """Train. Killed, or out of time? Run it again, and it goes on where its last checkpoint is."""
    from neurosono.scripts.train.detecting import learn
    from neurosono.training.detect.data import DetectData
    from neurosono.training.detect.earlier import Earlier
    from neurosono.training.detect.recipe import DetectRecipe
    from neurosono.training.detect.run import open_run
    from neurosono.training.detect.train import STATE_NAME
    from neurosono.training.patterns.subject import PATTERNS_SUBJECT

    earlier = Earlier.read(begin_with / STATE_NAME) if begin_with else None
    recipe = DetectRecipe(
        pictures=pictures,
        batch=batch,
        learning_rate=learning_rate,
        held_out=fold,
        seed=seed,
        glance=0.0 if earlier else DetectRecipe.glance,
    )
    data = DetectData.load(cache, PATTERNS_SUBJECT)
    learn(open_run(data, recipe, out, device, workers, threads, earlier), out, minutes, json)


@patterns_app.command()
def build(folder: options.RunArgument, cache: CacheArgument, json: JsonOption = None) -> None:
    """Build f32 and int8 graphs of a run, as far as it has come, each held to its limits."""
    from neurosono.scripts.train.detecting import build_run
    from neurosono.training.detect.data import DetectData
    from neurosono.training.patterns.subject import PATTERNS_SUBJECT

    build_run(DetectData.load(cache, PATTERNS_SUBJECT), folder, json)


@patterns_app.command()
def evaluate(
    folder: options.RunArgument,
    cache: Annotated[Path, typer.Option(help="What the run was trained on: its fold is judged.")],
    test: Annotated[
        Path | None, typer.Option(help="Prepared phantoms of another seed, for their figures.")
    ] = None,
    precision: Annotated[str, typer.Option(help="int8 or f32.")] = "int8",
    json: JsonOption = None,
) -> None:
    """Set thresholds on the patients held out, and measure the graph as it runs."""

    from neurosono.scripts.console import counting, write_json_report
    from neurosono.scripts.train.patterns_view import print_figures
    from neurosono.training.patterns.evaluate import evaluate as measure_run

    with counting("judging") as watch:
        found = measure_run(folder, cache, test, precision, watch)
    print_figures(found)
    write_json_report(json, found)


@patterns_app.command()
def ship(
    folder: options.RunArgument,
    out: options.NewBundle,
    name: options.Name = "patterns",
    precision: options.Precisions = None,
    json: JsonOption = None,
) -> None:
    """Make a bundle of a run's built graphs and thresholds, for `--also`."""
    from neurosono.scripts.train.detecting import tell_shipped
    from neurosono.training.patterns.evaluate import ship as write_bundle

    bundle = write_bundle(folder, out, name, tuple(precision or ("int8",)))
    tell_shipped(bundle, out, json)


@patterns_app.command()
def gallery(
    bundle: Annotated[str, typer.Argument(help="A bundle of patterns: a folder, or `patterns`.")],
    folder: Annotated[Path, typer.Argument(help="Pictures: ultrasound regions, not screens.")],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("patterns-gallery.html"),
) -> None:
    """Lay pictures out with what a bundle says of each: to look at, without any rate."""

    from neurosono.scripts.console import console, counting
    from neurosono.scripts.train.patterns_gallery import write_gallery

    with counting("reading") as watch:
        count = write_gallery(bundle, folder, out, watch)
    console.print(f"{count} pictures: {out}", soft_wrap=True)
