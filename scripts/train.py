"""`neurosono train`: from a folder of patients to a bundle; with `prepare` and `evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from engine.contracts.cache import Cache
    from training.member import Step, Watch

PAPER_EVERY = 80
"""One frame in 80 of a clip is kept (Qi et al. 2025)."""


class _RunByDefault(TyperGroup):
    """`train DATASET` is short for `train run DATASET`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


train_app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Train members on patients: `train DATASET --out BUNDLE`, or one of the steps.",
)

DatasetArgument = Annotated[
    Path, typer.Argument(help="A folder of LABEL/PATIENT/*, or a cache made by `prepare`.")
]
EveryOption = Annotated[int, typer.Option(min=1, help="Keep one frame in N of each clip.")]
JsonOption = Annotated[Path | None, typer.Option(help="Also write the result there; - for stdout.")]


@train_app.command()
def prepare(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="The frame cache: a new folder.")],
    every: EveryOption = PAPER_EVERY,
    size_px: Annotated[int, typer.Option(help="Side of the network's input.")] = 224,
    json: JsonOption = None,
) -> None:
    """Extract a dataset into a frame cache, once; with the very pixels that a replay sees."""
    from scripts.console import write_json_report

    cache = _extract(dataset, out, every, size_px)
    write_json_report(json, _count(cache))


@train_app.command()
def run(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="The bundle: a new folder.")],
    recipe: Annotated[
        str | None, typer.Option(help="A TOML file, or a shipped recipe: paper, demo.")
    ] = "paper",
    folds: Annotated[str | None, typer.Option(help="A number of folds, or lopo.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    width: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
    members: Annotated[int | None, typer.Option(help="Networks to train; 0: one a fold.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Start: random, imagenet, or a .safetensors file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where to extract to; by default beside --out.")
    ] = None,
    every: EveryOption = PAPER_EVERY,
    card: Annotated[
        str | None, typer.Option(help="What the bundle is, for what, its limits: a TOML file.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The bundle's name; by default --out's.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Members trained at a time; 0: one a core, or one on a GPU.")
    ] = 0,
    json: JsonOption = None,
) -> None:
    """Train every member and write the bundle. Killed? The same command takes it up again."""
    from scripts.console import console, write_json_report
    from training.card import load_card
    from training.recipe import load_recipe
    from training.run import Run

    chosen = load_recipe(
        recipe,
        folds=int(folds) if folds is not None and folds.isdecimal() else folds,
        epochs=epochs,
        width=width,
        members=members,
        weights=weights,
        seed=seed,
    )
    text = load_card(card)
    data = _open_cache(dataset, cache, out, every)
    job = Run(data, chosen, out, name or out.name, workers or _count_workers(), text)
    with _Progress(chosen.epochs) as progress:
        metrics = job.train(progress)
    _print_metrics(metrics, "held-out patients, uncalibrated")
    console.print(f"bundle: {out}", soft_wrap=True)
    write_json_report(json, metrics)


@train_app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or demo.")],
    cache: Annotated[Path, typer.Argument(help="A frame cache of patients not trained on.")],
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    json: JsonOption = None,
) -> None:
    """Judge unseen patients with a bundle, and say how well it did."""
    from calibration.fit import apply
    from calibration.run import judge_unseen
    from engine.bundle import Bundle
    from engine.choice import open_engine
    from engine.contracts.cache import Cache
    from scripts.console import write_json_report
    from training.metrics import describe_both

    loaded = Bundle.load(bundle)
    engine = engine if engine != "auto" or loaded.manifest.engines else "torch"
    frames = judge_unseen(loaded, Cache.load(cache), open_engine(loaded, engine).backend)
    metrics = describe_both(apply(loaded.calibration, frames))
    _print_metrics(metrics, "unseen patients, calibrated")
    write_json_report(json, metrics)


@train_app.command()
def recipes() -> None:
    """Explain what a recipe may say, and what the shipped ones do."""
    from rich.table import Table

    from scripts.console import console
    from training.recipe import RECIPES_PATH, Recipe, load_recipe

    names = sorted(path.stem for path in RECIPES_PATH.glob("*.toml"))
    table = Table("key", "meaning", "default", *names)
    values = [load_recipe(name).to_json() for name in names]
    for key, default in Recipe().to_json().items():
        shown = (
            f"{value[key]:.4g}" if isinstance(value[key], float) else str(value[key])
            for value in values
        )
        table.add_row(key, Recipe.meanings()[key], str(default), *shown)
    console.print(table)


def _open_cache(dataset: Path, cache: Path | None, out: Path, every: int) -> "Cache":
    """Open a cache, or make it; an old one is used only if it is of this very dataset."""
    from engine.contracts.cache import SUMMARY_NAME, Cache
    from engine.contracts.errors import InputError
    from stream.extract import find_dataset

    if (dataset / SUMMARY_NAME).is_file():
        return Cache.load(dataset)
    where = cache or out.with_name(out.name + ".cache")
    if not where.exists():
        return _extract(dataset, where, every, 224)
    found = Cache.load(where)
    if found.source_digest != find_dataset(dataset).digest or found.every != every:
        raise InputError(
            f"cache {where} was made of another dataset or another --every: remove it, or name "
            "another --cache"
        )
    return found


def _extract(dataset: Path, out: Path, every: int, size_px: int) -> "Cache":
    from rich.progress import Progress

    from engine.contracts.preprocessing import PreprocessingSpec
    from scripts.console import console
    from stream.extract import extract, find_dataset

    found = find_dataset(dataset)
    spec = PreprocessingSpec(size_px=size_px, resize_px=max(size_px, round(size_px * 256 / 224)))
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("extracting patients", total=len(found.patients))
        cache = extract(found, out, spec=spec, every=every, watch=lambda _: bar.advance(task))
    for label, count in _count(cache)["classes"].items():
        console.print(f"{label}: {count['patients']} patients, {count['frames']} frames")
    return cache


def _count(cache: "Cache") -> dict[str, Any]:
    import json

    from engine.contracts.cache import SUMMARY_NAME

    summary: dict[str, Any] = json.loads((cache.root / SUMMARY_NAME).read_bytes())
    return {"cache": str(cache.root), "frames": len(cache.rows), "classes": summary["classes"]}


def _count_workers() -> int:
    import os

    import torch

    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


class _Progress:
    """Rich bars for `training.member.Watch`."""

    def __init__(self, epochs: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from scripts.console import console

        self._epochs = epochs
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console)
        self._tasks: dict[int, Any] = {}

    def __enter__(self) -> "Watch":
        self._bar.start()
        return self._hear

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _hear(self, step: "Step") -> None:
        if step.member not in self._tasks:
            self._tasks[step.member] = self._bar.add_task("", total=self._epochs)
        task = self._tasks[step.member]
        done = step.epoch + step.step / step.steps
        text = f"member {step.member} epoch {step.epoch + 1}/{self._epochs} loss {step.loss:.3f}"
        self._bar.update(task, completed=done, description=text)
        if step.validation is not None:
            self._bar.console.print(f"{text}, validation {step.validation:.1%}")


def _print_metrics(metrics: dict[str, Any], of: str) -> None:
    from rich.table import Table

    from scripts.console import console

    exams, frames = metrics["exams"], metrics["frames"]
    table = Table("", "exams", "frames", title=f"{metrics['patients']} {of}")
    for label, recall in exams["recall"].items():
        shown = ("-" if x is None else f"{x:.1%}" for x in (recall, frames["recall"][label]))
        table.add_row(f"recall {label}", *shown)
    for key in ("accuracy", "macro_f1"):
        table.add_row(key, f"{exams[key]:.1%}", f"{frames[key]:.1%}")
    spans = (
        f"{each['accuracy_95'][0]:.1%} to {each['accuracy_95'][1]:.1%}" for each in (exams, frames)
    )
    table.add_row("accuracy, 95 %", *spans)
    console.print(table)
