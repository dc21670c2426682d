"""`neurosono train gate`: the network that asks whether a frame is a fetal head or spine at all."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption
from neurosono.training.gate.recipe import GateRecipe

if TYPE_CHECKING:
    from neurosono.training.gate.data import GateData

gate_app = typer.Typer(
    no_args_is_help=True,
    help="Make a gate: `prepare` data, `look` at them, `run`, `add` it to a bundle, `evaluate`.",
)

CacheArgument = Annotated[Path, typer.Argument(help="What `train gate prepare` made.")]
LooksArgument = Annotated[Path, typer.Argument(help="What `train gate look` made of it.")]
FreedomOption = Annotated[
    float, typer.Option(min=1e-6, help="How far our data may move SonoNet's opinion.")
]
UNLIKE_SEED = 1
"""Of the made pictures to learn from; those to measure by have another."""


@gate_app.command()
def prepare(
    data: Annotated[Path, typer.Argument(help="A folder of real ultrasound.")],
    out: Annotated[Path, typer.Option(help="The gate's data: a new folder.")],
    sources: Annotated[
        str, typer.Option(help="A TOML file that says what the files show, or a shipped one.")
    ] = "shared",
    phantoms: Annotated[int, typer.Option(min=0, help="Generated exams to add.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated exams.")] = 7100,
    json: JsonOption = None,
) -> None:
    """Cut real pictures and generated exams out of their screens, once, as a replay cuts them."""
    from itertools import chain

    from rich.progress import Progress

    from neurosono.scripts.console import console, write_json_report
    from neurosono.scripts.train.gate_prepare import take_phantoms, take_real
    from neurosono.training.gate.data import write_gate_data
    from neurosono.training.gate.sources import find_files, load_rules

    rules = load_rules(sources)
    files = find_files(data, rules)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("cutting out", total=len(files) + phantoms)

        def watch() -> None:
            bar.advance(task)

        found = chain(take_real(data, files, watch), take_phantoms(phantoms, seed, watch))
        made = write_gate_data(out, found, [rule.attribution for rule in rules if rule.attribution])
    _print_counts(made)
    write_json_report(json, {"out": str(out), "frames": made.count()})


@gate_app.command()
def look(
    cache: CacheArgument,
    out: Annotated[Path, typer.Option(help="What is seen of it: a new folder.")],
    trunk: Annotated[Path, typer.Option(help="SonoNet16.npz, of its authors (Apache-2.0).")],
    views: Annotated[int, typer.Option(min=1, help="Of each frame; all but one are varied.")] = 1,
    unlike: Annotated[int, typer.Option(min=0, help="Made pictures that are no ultrasound.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")] = 0,
) -> None:
    """Build SonoNet's convolutions in int8 and let them see every frame, once."""
    from rich.progress import Progress

    from neurosono.calibration.unlike import draw_unlike
    from neurosono.scripts.console import console
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.looks import count_looks, draw_looks
    from neurosono.training.gate.trunk import Trunk

    data, weights = GateData.load(cache), Trunk.load(trunk)
    made = draw_unlike(unlike, data.frames.shape[1], seed=UNLIKE_SEED)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("looking", total=count_looks(data, unlike, views))
        found = draw_looks(out, data, weights, made, views, seed, lambda: bar.advance(task))
    console.print(f"{len(found.rows)} looks: {out}", soft_wrap=True)


@gate_app.command()
def run(
    cache: CacheArgument,
    looks: LooksArgument,
    out: Annotated[Path, typer.Option(help="The gate: a new folder.")],
    folds: Annotated[int, typer.Option(min=2, help="Patient-disjoint folds to measure by.")] = 5,
    freedom: FreedomOption = GateRecipe.freedom,
    json: JsonOption = None,
) -> None:
    """Measure on what is left out, fit on everything, and build the gate."""
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.looks import Looks
    from neurosono.training.gate.run import GateRun

    data = GateData.load(cache)
    seen = Looks.load(looks, data)
    card = GateRun(data, seen, out, GateRecipe(freedom=freedom), folds).make()
    for by, found in card["left_out"].items():
        _print_left_out(found, f"without each {by}")
    _print_figures(card["held_out"], "held-out patients, same sources")
    console.print(f"gate: {out}", soft_wrap=True)
    write_json_report(json, card)


@gate_app.command("leave-out")
def leave_out_command(
    cache: CacheArgument,
    looks: LooksArgument,
    by: Annotated[str, typer.Option(help="What is left out: source or machine.")] = "source",
    freedom: FreedomOption = GateRecipe.freedom,
    json: JsonOption = None,
) -> None:
    """Measure on each database or scanner a gate that never saw it."""
    from neurosono.scripts.console import write_json_report
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.leave_out import describe_left_out, leave_out
    from neurosono.training.gate.looks import Looks

    data = GateData.load(cache)
    seen = Looks.load(looks, data)
    found = describe_left_out(data, leave_out(data, seen, GateRecipe(freedom=freedom), by), by)
    _print_left_out(found, f"without each {by}")
    write_json_report(json, found)


def _print_left_out(found: dict[str, Any], title: str) -> None:
    from rich.table import Table

    from neurosono.scripts.console import console

    table = Table(
        *("left out", "AUROC by patient", "heads and spines refused", "others refused"),
        title=f"{title}: 95 % intervals by patient",
        title_justify="left",
    )
    for name, figures in {"all": found["pooled"], **found["groups"]}.items():
        intervals = figures["intervals_95_by_patient"]
        auroc = _in_words(figures["auroc_by_patient"])
        if auroc != "-":
            auroc += _tell_interval(intervals["auroc"], ".4f")
        cells = [
            f"{share['refused']} of {share['frames']}, {share['share']:.1%}"
            + _tell_interval(intervals[key], ".1%")
            if share["frames"]
            else "-"
            for key in ("heads_and_spines_refused", "others_refused")
            for share in (figures[key],)
        ]
        table.add_row(name, auroc, *cells)
    console.print(table)
    for name, each in found["pooled"]["by_source"].items():
        console.print(f"{name}: {each['refused']} of {each['frames']} refused")


def _tell_interval(bounds: list[float] | None, form: str) -> str:
    return "" if bounds is None else f" ({bounds[0]:{form}} to {bounds[1]:{form}})"


@gate_app.command()
def add(
    bundle: Annotated[Path, typer.Argument(help="The bundle; its manifest is written anew.")],
    gate: Annotated[Path, typer.Argument(help="What `train gate run` made.")],
) -> None:
    """Put a gate into a bundle, in the place of one it may have."""
    from neurosono.engine.gate_folder import add_gate
    from neurosono.scripts.console import console

    found = add_gate(bundle, gate)
    console.print(f"bundle {found.root} now has a gate: {found.manifest.digest}", soft_wrap=True)


@gate_app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help="A bundle with a gate, or demo.")],
    cache: CacheArgument,
    unlike: Annotated[int, typer.Option(min=0, help="Made pictures, none of them learnt.")] = 600,
    json: JsonOption = None,
) -> None:
    """Measure a bundle's gate, as it runs, on data of patients that did not train it."""
    from neurosono.calibration.unlike import draw_unlike
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.evaluate import count_refused, evaluate_gate

    data = GateData.load(cache)
    figures = evaluate_gate(bundle, data)
    _print_figures(figures, "as it runs")
    made = draw_unlike(unlike, data.frames.shape[1], seed=UNLIKE_SEED + 1)
    figures["unlike"] = {"pictures": unlike, "refused": count_refused(bundle, made)}
    console.print(f"made pictures that are no ultrasound: {figures['unlike']}")
    write_json_report(json, figures)


def _print_counts(data: "GateData") -> None:
    from neurosono.scripts.console import console

    for name, count in data.count().items():
        console.print(f"{name}: {count['patients']} patients, {count['frames']} frames")


def _print_figures(figures: dict[str, Any], title: str) -> None:
    from rich.table import Table

    from neurosono.scripts.console import console

    for kind in ("real", "phantom"):
        found = figures[kind]
        if not found["by_source"]:
            continue
        by_patient, by_frame = (
            _in_words(found[f"auroc_by_{each}"]) for each in ("patient", "frame")
        )
        table = Table(
            "source",
            *("frames", "refused", "share", "unfamiliar"),
            title=f"{kind}, {title}: AUROC {by_patient} (patients), {by_frame} (frames)",
            title_justify="left",
        )
        totals = {
            "all heads and spines": found["heads_and_spines_refused"],
            "all others": found["others_refused"],
        }
        for name, each in {**found["by_source"], **totals}.items():
            share = "-" if each["share"] is None else f"{each['share']:.1%}"
            table.add_row(
                name, str(each["frames"]), str(each["refused"]), share, str(each["unfamiliar"])
            )
        console.print(table)
    planes = figures["phantom"]["planes"]
    if planes["accuracy_of_named"] is not None:
        console.print(
            f"planes (phantoms only): {planes['named']} of {planes['frames']} frames named, "
            f"{planes['accuracy_of_named']:.1%} of them rightly"
        )


def _in_words(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
