"""`neurosono train top`, `soup`, `student` and `compare`: one ensemble in three sizes."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neurosono.training.sizes.student import Progress as Learning
    from neurosono.training.sizes.student import Watch

BundleArgument = Annotated[Path, typer.Argument(help="A bundle that carries its members' weights.")]
OutOption = Annotated[Path, typer.Option(help="The new bundle: a new folder.")]
NameOption = Annotated[str, typer.Option(help="The bundle's name; by default --out's.")]
TrainedCache = Annotated[
    Path, typer.Option(help="The frame cache of the patients that the bundle was trained on.")
]


def top(
    bundle: BundleArgument,
    out: OutOption,
    members: Annotated[int, typer.Option(min=1, help="How many members to keep.")],
    cache: Annotated[
        Path | None, typer.Option(help="A frame cache of patients not trained on, to choose by.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="log-loss or accuracy of exams of --cache, or validation, without one."),
    ] = None,
    measure_share: Annotated[
        float, typer.Option(help="Share of the cache's patients kept apart, to measure on.")
    ] = 0.5,
    name: NameOption = "",
    json: JsonOption = None,
) -> None:
    """Keep the members that judge best together, in the order in which they help."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.engine.contracts.notice import NOTICE
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.sizes.derivation import Derivation
    from neurosono.training.sizes.top import make_top

    held_out = None if cache is None else Cache.load(cache)
    chosen_by = by or ("validation" if cache is None else "log-loss")
    job = Derivation(Bundle.load(bundle), out, "top", name)
    with console.status("choosing members"):
        found = make_top(job, members, chosen_by, held_out, measure_share)
    for step in found["steps"]:
        console.print(
            f"member {step['member']}: accuracy {step['accuracy']:.1%}, "
            f"log-loss {step['log_loss']:.3f}"
        )
    if "measured" in found:
        chosen, whole = found["measured"]["chosen"], found["measured"]["all"]
        console.print(
            f"{found['measured']['exams']} exams of patients that chose nothing: "
            f"{chosen['exam_accuracy']:.1%} right, all members {whole['exam_accuracy']:.1%}"
        )
    console.print(f"bundle: {out}", soft_wrap=True)
    write_json_report(json, {"notice": NOTICE} | found)


def soup(
    bundle: BundleArgument,
    out: OutOption,
    cache: Annotated[
        Path | None,
        typer.Option(help="The cache that the bundle was trained on: measures the norms anew."),
    ] = None,
    greedy: Annotated[
        Path | None,
        typer.Option(help="A cache of patients not trained on: keep only members that help."),
    ] = None,
    name: NameOption = "",
    json: JsonOption = None,
) -> None:
    """Average the members' weights into one network, taste it, and say so if it is bad."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.engine.contracts.notice import NOTICE
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.sizes.derivation import Derivation
    from neurosono.training.sizes.soup import make_soup

    training = None if cache is None else Cache.load(cache)
    held_out = None if greedy is None else Cache.load(greedy)
    job = Derivation(Bundle.load(bundle), out, "soup", name)
    with console.status("averaging weights"):
        found = make_soup(job, training, held_out)
    console.print(f"{found['kind']} soup of members {', '.join(found['members'])}")
    console.print(str(found["limit"]), soft_wrap=True)
    console.print(f"bundle: {out}", soft_wrap=True)
    write_json_report(json, {"notice": NOTICE} | found)


def student(
    bundle: BundleArgument,
    out: OutOption,
    cache: TrainedCache,
    recipe: Annotated[str, typer.Option(help="A TOML file, or a shipped recipe.")] = "student",
    width: Annotated[
        float | None,
        typer.Option(help="Channels, as a share of the network's. [default: a member's]"),
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help="The network: vit-ti, resnet34 ... [default: the members']")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    temperature: Annotated[float, typer.Option(help="Softens teacher and student alike.")] = 2.0,
    hard_share: Annotated[float, typer.Option(help="Share of the labels in the loss.")] = 0.1,
    view: Annotated[
        str, typer.Option(help="What the teacher judges: same (augmented) or clean (once).")
    ] = "same",
    name: NameOption = "",
    json: JsonOption = None,
) -> None:
    """Distil all members into one network. Killed? The same command takes it up again."""
    from dataclasses import asdict

    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.engine.contracts.notice import NOTICE
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.recipe import load_recipe
    from neurosono.training.sizes.derivation import Derivation
    from neurosono.training.sizes.lesson import Lesson
    from neurosono.training.sizes.student import make_student

    loaded, data = Bundle.load(bundle), Cache.load(cache)
    chosen = load_recipe(
        recipe,
        architecture=architecture or loaded.manifest.architecture,
        width=width or loaded.manifest.members[0].width,
        epochs=epochs,
        seed=seed,
    )
    lesson = Lesson(temperature, hard_share, view)
    about = {"recipe": chosen.to_json(), "data": data.digest, "lesson": asdict(lesson)}
    job = Derivation(loaded, out, "student", name, about)
    with _show(chosen.epochs) as watch:
        found = make_student(job, data, chosen, lesson, watch)
    console.print(
        f"started from {found['start']}, kept epoch {found['epoch'] + 1}: agrees with the teacher "
        f"in {found['validation']['agreement']:.1%} of frames of patients that taught it nothing"
    )
    console.print(f"bundle: {out}", soft_wrap=True)
    write_json_report(json, {"notice": NOTICE} | found)


def compare(
    bundles: Annotated[
        list[str], typer.Argument(help="Bundles; the first is what the others are held against.")
    ],
    cache: Annotated[Path, typer.Option(help="A frame cache of patients that none has seen.")],
    leave_out_seen: Annotated[
        bool, typer.Option("--leave-out-seen", help="Judge only the patients that none has seen.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Hold bundles against the first on unseen patients: accuracy, agreement, cost."""
    from neurosono.calibration.reliability import measure_ece
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.scripts.console import check_json_place, console, write_json_report
    from neurosono.training.sizes.compare import compare_bundles

    check_json_place(json)
    loaded = [Bundle.load(each) for each in bundles]
    with console.status("judging") as status:
        found = compare_bundles(
            loaded,
            Cache.load(cache),
            measure_ece,
            leave_out_seen=leave_out_seen,
            on_step=status.update,
        )
    _print_comparison(found)
    write_json_report(json, found)


def _print_comparison(found: dict[str, Any]) -> None:
    from rich.table import Column, Table

    from neurosono.scripts.console import console

    columns = found["bundles"]
    table = Table(
        Column("", no_wrap=True),
        *(Column(each["name"], overflow="fold") for each in columns),
        title=f"{found['patients']} unseen patients, {found['frames']} frames, uncalibrated",
        caption=found["notice"],
    )
    for label, show in _ROWS:
        table.add_row(label, *(show(each) for each in columns))
    console.print(table)


def _span(found: dict[str, Any]) -> str:
    low, high = found["accuracy_95"]
    return f"{found['accuracy']:.1%}\n{low * 100:.1f}-{high * 100:.1f}"


def _difference(found: dict[str, Any]) -> str:
    p = found["mcnemar_p"]
    return f"{found['difference']:+.1%}\n" + ("p < 0.001" if p < 0.001 else f"p {p:.3f}")


_ROWS: "list[tuple[str, Callable[[dict[str, Any]], str]]]" = [
    ("members", lambda x: f"{x['members']}"),
    ("10^6 parameters", lambda x: f"{x['parameters'] / 1e6:.1f}"),
    ("MB", lambda x: f"{x['megabytes']:.1f}"),
    ("10^6 multiply-adds", lambda x: f"{x['multiply_adds'] / 1e6:.0f}"),
    ("ms a frame", lambda x: f"{x['ms']:.1f}\nx {x['ms_ratio']:.2f}"),
    ("engine", lambda x: x["engine"]),
    ("frames right", lambda x: _span(x["of_frames"])),
    ("exams right", lambda x: _span(x["of_exams"])),
    ("exams, difference", _difference),
    ("frames that agree", lambda x: f"{x['same_frames']:.1%}"),
    ("exams that agree", lambda x: f"{x['same_exams']:.1%}"),
    ("p differs, mean", lambda x: f"{x['mean_difference']:.3f}"),
    ("p differs, at most", lambda x: f"{x['max_difference']:.3f}"),
    ("exam ECE", lambda x: f"{x['exam_ece']:.3f}"),
]


@contextmanager
def _show(epochs: int) -> "Iterator[Watch]":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from neurosono.scripts.console import console

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("the teacher looks on", total=epochs)

        def hear(at: "Learning") -> None:
            text = f"epoch {at.epoch + 1}/{epochs} loss {at.loss:.3f}"
            done = at.epoch + at.step / at.steps
            bar.update(task, completed=done, description=f"student {text}")
            if at.agreement is not None:
                console.print(f"{text}, agrees with the teacher in {at.agreement:.1%}")

        yield hear
