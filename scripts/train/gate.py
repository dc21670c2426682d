"""`neurosono train gate`: the network that asks whether a frame is a fetal head or spine at all."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption

if TYPE_CHECKING:
    from rich.progress import Progress

    from neurosono.training.gate.data import GateData

gate_app = typer.Typer(
    no_args_is_help=True,
    help="Make a gate: `prepare` its data, `run` its training, `add` it to a bundle, `evaluate`.",
)

CacheArgument = Annotated[Path, typer.Argument(help="What `train gate prepare` made.")]


@gate_app.command()
def prepare(
    data: Annotated[Path, typer.Argument(help="A folder of real ultrasound.")],
    out: Annotated[Path, typer.Option(help="The gate's data: a new folder.")],
    sources: Annotated[
        str, typer.Option(help="A TOML file that says what the files show, or a shipped one.")
    ] = "shared",
    phantoms: Annotated[
        int, typer.Option(min=0, help="Generated exams to add, and a fifth more of young fetuses.")
    ] = 220,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated exams.")] = 7100,
    json: JsonOption = None,
) -> None:
    """Cut real pictures and generated exams out of their screens, once, as a replay cuts them."""
    from itertools import chain

    from neurosono.scripts.console import counting, write_json_report
    from neurosono.scripts.train.gate_prepare import count_phantoms, take_phantoms, take_real
    from neurosono.training.gate.data import write_gate_data
    from neurosono.training.gate.sources import find_files, load_rules

    rules = load_rules(sources)
    files = find_files(data, rules)
    with counting("cutting out", len(files) + count_phantoms(phantoms)) as watch:
        found = chain(take_real(data, files, watch), take_phantoms(phantoms, seed, watch))
        made = write_gate_data(out, found, [rule.attribution for rule in rules if rule.attribution])
    _print_counts(made)
    write_json_report(json, {"out": str(out), "frames": made.count()})


@gate_app.command()
def run(
    cache: CacheArgument,
    out: Annotated[Path, typer.Option(help="The gate: a new folder.")],
    folds: Annotated[int, typer.Option(min=2, help="Patient-disjoint folds to measure by.")] = 5,
    batches: Annotated[int, typer.Option(min=1, help="Batches of 64 a round.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of training a network.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")] = 0,
    json: JsonOption = None,
) -> None:
    """Cross-validate, train on everything, and build the int8 gate. Killed? Run it again."""
    from rich.progress import Progress

    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.run import GateRun
    from neurosono.training.gate.train import GateRecipe

    recipe = GateRecipe(batches=batches, rounds=rounds, seed=seed)
    job = GateRun(GateData.load(cache), out, recipe, folds)
    with Progress(console=console) as bar:
        card = job.make(_watch(bar))
    _print_figures(card["held_out"], "held-out patients")
    console.print(f"gate: {out}", soft_wrap=True)
    write_json_report(json, card)


@gate_app.command("leave-out")
def leave_out_command(
    cache: CacheArgument,
    work: Annotated[Path, typer.Option(help="Keeps finished networks, so that it can go on.")],
    by: Annotated[str, typer.Option(help="What is left out: source or machine.")] = "source",
    batches: Annotated[int, typer.Option(min=1, help="Batches of 64 a round.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of training a network.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")] = 0,
    json: JsonOption = None,
) -> None:
    """Measure on each database or scanner a gate that never saw it. Killed? Run it again."""
    from rich.progress import Progress

    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.leave_out import leave_out
    from neurosono.training.gate.run import GateRun
    from neurosono.training.gate.train import GateRecipe

    recipe = GateRecipe(batches=batches, rounds=rounds, seed=seed)
    job = GateRun(GateData.load(cache), work, recipe)
    with Progress(console=console) as bar:
        found = leave_out(job, by, _watch(bar))
    for name, figures in {"all": found["pooled"], **found["groups"]}.items():
        auroc, chosen = figures["auroc_by_patient"], figures["chosen"]
        heads, others = chosen["heads_and_spines_refused"], chosen["others_refused"]
        console.print(
            f"{name} left out: AUROC by patient {'-' if auroc is None else f'{auroc:.4f}'}, "
            f"refused {heads['refused']} of {heads['frames']} heads and spines, "
            f"{others['refused']} of {others['frames']} others at the threshold of the other groups"
        )
    write_json_report(json, found)


def _watch(bar: "Progress") -> Callable[[str, int, int, float], None]:
    tasks: dict[str, Any] = {}

    def watch(name: str, done: int, total: int, loss: float) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=done, description=f"{name} loss {loss:.3f}")

    return watch


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
    json: JsonOption = None,
) -> None:
    """Measure a bundle's gate, as it runs, on data of patients that did not train it."""
    from neurosono.scripts.console import write_json_report
    from neurosono.training.gate.data import GateData
    from neurosono.training.gate.evaluate import evaluate_gate

    figures = evaluate_gate(bundle, GateData.load(cache))
    _print_figures(figures, "as it runs")
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
