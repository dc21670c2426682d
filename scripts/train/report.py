"""`neurosono train report`: how well a bundle judges, as a page with plots and as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption

if TYPE_CHECKING:
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache

UNSEEN_FOLDER = "unseen"
"""Inside `BUNDLE/report`: the report on the held-out patients of training stays beside it."""


def report(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or demo.")],
    cache: Annotated[
        Path | None,
        typer.Option(
            help="A frame cache of unseen patients, whom the bundle then judges. Or the one it was "
            "trained on: its held-out predictions, with pictures."
        ),
    ] = None,
    readers: Annotated[
        Path | None,
        typer.Option(help="A reader study: a CSV of exam (or patient), reader, answer."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder. [default: BUNDLE/report, of unseen patients in unseen/]"),
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    json: JsonOption = None,
) -> None:
    """Write a bundle's report: of the patients held out in training, or of unseen ones."""
    from neurosono.engine.bundle import DEMO_PATH, Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.report import FOLDER, PAGE_NAME, is_trained_on, write_held_out_report

    loaded = Bundle.load(bundle)
    if out is None and loaded.root == DEMO_PATH:
        raise InputError("the shipped bundle is not written into: name a folder with --out")
    given = None if cache is None else Cache.load(cache)
    where = out or loaded.root / FOLDER
    if given is None or is_trained_on(given, loaded):
        found = write_held_out_report(loaded, given, readers=readers, out=where)
    else:
        where = out or where / UNSEEN_FOLDER
        found = write_unseen_report(loaded, given, where, engine=engine, readers=readers)
    _print(found)
    console.print(f"report: {where / PAGE_NAME}", soft_wrap=True)
    write_json_report(json, found)


def write_unseen_report(
    bundle: "Bundle", cache: "Cache", out: Path, *, engine: str, readers: Path | None = None
) -> dict[str, Any]:
    """Let the bundle judge unseen patients, which is checked, and write the report on them."""
    from neurosono.calibration.run import judge_unseen
    from neurosono.engine.choice import open_engine
    from neurosono.training.report import SCOPE_UNSEEN, write_report

    chosen = engine if engine != "auto" or bundle.manifest.engines else "torch"
    frames = judge_unseen(bundle, cache, open_engine(bundle, chosen).backend)
    return write_report(
        bundle.root, frames, cache=cache, readers=readers, scope=SCOPE_UNSEEN, out=out
    )


def _print(found: dict[str, Any]) -> None:
    """Print the headline: each with its interval."""
    from rich.table import Table

    from neurosono.scripts.console import console
    from neurosono.scripts.train.evaluate import TOTALS
    from neurosono.training.report.words import say_interval, say_p

    shown = found["calibrated"] or found["raw"]
    data = found["data"]
    title = f"{data['patients']} patients, {data['exams']} exams, {data['frames']} frames"
    table = Table("95 % interval over patients", "exams", "frames", title=title)
    for key, name in TOTALS.items():
        table.add_row(
            name, *(say_interval(shown[level][key], ".1%") for level in ("exams", "frames"))
        )
    if found["optimism"] is not None:
        gaps = (found["optimism"][level]["nested_minus_paper"] for level in ("exams", "frames"))
        table.add_row("accuracy, nested minus paper", *(say_interval(gap, ".1%") for gap in gaps))
    console.print(table)
    for reader in (found["readers"] or {"readers": []})["readers"]:
        own, system = (
            say_interval(reader["recognition"][who]["all"], ".1%") for who in ("reader", "system")
        )
        console.print(
            f"{reader['reader']}: {own} of {reader['exams']} exams, the system {system}, McNemar "
            f"{say_p(reader['mcnemar']['reader_and_system']['p'])}",
            markup=False,
        )
