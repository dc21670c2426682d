"""`neurosono train run` and `recipes`: from patients to a bundle."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import (
    PAPER_EVERY,
    AllowCopiesOption,
    DatasetArgument,
    EveryOption,
    JsonOption,
    SkipBadOption,
    open_cache,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neurosono.training.fit.member import Step, Watch


def run(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="The bundle: a new folder.")],
    recipe: Annotated[
        str | None, typer.Option(help="A TOML file, or a shipped recipe; see `train recipes`.")
    ] = "paper",
    folds: Annotated[str | None, typer.Option(help="A number of folds, or lopo.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    architecture: Annotated[
        str | None, typer.Option(help="The network: resnet34, vit-ti, vit-s, vit-b, and others.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
    members: Annotated[int | None, typer.Option(help="Networks to train; 0: one a fold.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Start: random, imagenet, or a .safetensors or .pth file.")
    ] = None,
    selection: Annotated[
        str | None, typer.Option(help="Who chooses the epoch: inner, or paper (optimistic).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where to extract to; by default beside --out.")
    ] = None,
    every: EveryOption = PAPER_EVERY,
    skip_bad: SkipBadOption = False,
    allow_copies: AllowCopiesOption = False,
    card: Annotated[
        str | None, typer.Option(help="What the bundle is, for what, its limits: a TOML file.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The bundle's name; by default --out's.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Members trained at a time; 0: one a core, or one on a GPU.")
    ] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Train on a Ray cluster: HOST:PORT, or local. Needs the extra cluster."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train every member and write the bundle. Killed? The same command takes it up again."""
    from neurosono.engine.bundle import Bundle
    from neurosono.scripts.console import console, write_json_report
    from neurosono.scripts.train.evaluate import print_metrics
    from neurosono.training.card import load_card
    from neurosono.training.recipe import load_recipe
    from neurosono.training.report import FOLDER, PAGE_NAME, write_held_out_report
    from neurosono.training.run import Run

    chosen = load_recipe(
        recipe,
        folds=int(folds) if folds is not None and folds.isdecimal() else folds,
        epochs=epochs,
        architecture=architecture,
        width=width,
        members=members,
        weights=weights,
        selection=selection,
        seed=seed,
    )
    text = load_card(card)
    data = open_cache(dataset, cache, out, every, skip_bad, allow_copies)
    job = Run(data, chosen, out, name or out.name, workers or _count_workers(), text, cluster)
    with _show(chosen.epochs) as progress:
        metrics = job.train(progress)
    print_metrics(metrics, "held-out patients, uncalibrated")
    if "optimism" in metrics:
        frames, exams = (metrics["optimism"][level] for level in ("frames", "exams"))
        console.print(
            f"optimism of the published selection: {exams:+.1%} of exams, {frames:+.1%} of frames"
        )
    console.print(f"bundle: {out}", soft_wrap=True)
    write_held_out_report(Bundle.load(out), data)
    console.print(f"report: {out / FOLDER / PAGE_NAME}", soft_wrap=True)
    write_json_report(json, metrics)


def recipes() -> None:
    """Explain what a recipe may say, and what the shipped ones do."""
    from rich.table import Column, Table

    from neurosono.scripts.console import console
    from neurosono.training.recipe import RECIPES_PATH, Recipe, load_recipe

    for key, meaning in Recipe.meanings().items():
        console.print(f"[bold]{key}[/bold]: {meaning}", highlight=False)
    names = sorted(path.stem for path in RECIPES_PATH.glob("*.toml"))
    table = Table(Column("", no_wrap=True), "default", *names)
    values = [load_recipe(name).to_json() for name in names]
    for key in Recipe.meanings():
        table.add_row(
            key,
            *(
                f"{value[key]:.4g}" if isinstance(value[key], float) else str(value[key])
                for value in (Recipe().to_json(), *values)
            ),
        )
    console.print(table)


def _count_workers() -> int:
    import os

    import torch

    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


@contextmanager
def _show(epochs: int) -> "Iterator[Watch]":
    """Show a bar for each member."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from neurosono.scripts.console import console

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    tasks: dict[int, Any] = {}
    restarts: dict[int, int] = {}
    with Progress(*columns, console=console) as bar:

        def hear(step: "Step") -> None:
            member = f"member {step.member}"
            if step.member not in tasks:
                tasks[step.member] = bar.add_task("", total=epochs)
            text = f"{member} epoch {step.epoch + 1}/{epochs} loss {step.loss:.3f}"
            done = step.epoch + step.step / step.steps
            bar.update(tasks[step.member], completed=done, description=text)
            if step.restarts > restarts.get(step.member, 0):
                restarts[step.member] = step.restarts
                console.print(
                    f"{member}: its worker died; taken up again in epoch {step.epoch + 1}"
                )
            if step.validation is not None:
                console.print(f"{text}, validation {step.validation:.1%}")

        yield hear
