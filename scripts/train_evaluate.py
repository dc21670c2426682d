"""`neurosono train evaluate`: how well a bundle judges unseen patients."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.train_prepare import JsonOption


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
    print_metrics(metrics, "unseen patients, calibrated")
    write_json_report(json, metrics)


def print_metrics(metrics: dict[str, Any], of: str) -> None:
    """Print recalls and accuracies of exams and frames; `of` says whose."""
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
