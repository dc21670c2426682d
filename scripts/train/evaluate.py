"""`neurosono train evaluate`: how well a bundle judges unseen patients."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption

TOTALS = {
    "macro_f1": "F1, macro",
    "macro_auroc": "AUROC, macro",
    "micro_auroc": "AUROC, micro",
    "accuracy": "accuracy",
}


def evaluate(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or demo.")],
    cache: Annotated[Path, typer.Argument(help="A frame cache of patients not trained on.")],
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    report: Annotated[
        Path | None,
        typer.Option(help="Also write the whole report, page and JSON, to this folder."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Judge unseen patients with a bundle, and say how well it did."""
    from neurosono.calibration.run import judge_unseen
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.choice import open_engine
    from neurosono.engine.contracts.cache import Cache
    from neurosono.scripts.console import console, write_json_report
    from neurosono.training.metrics.metrics import describe_both

    loaded, unseen = Bundle.load(bundle), Cache.load(cache)
    engine = engine if engine != "auto" or loaded.manifest.engines else "torch"
    frames = judge_unseen(loaded, unseen, open_engine(loaded, engine).backend)
    calibrated = frames.with_probabilities(loaded.calibration.calibrate(frames.probabilities))
    metrics = describe_both(calibrated)
    print_metrics(metrics, "unseen patients, calibrated")
    if report is not None:
        from neurosono.training.report import PAGE_NAME, SCOPE_UNSEEN, write_report

        write_report(loaded.root, frames, cache=unseen, scope=SCOPE_UNSEEN, out=report)
        console.print(f"report: {report / PAGE_NAME}", soft_wrap=True)
    write_json_report(json, metrics)


def print_metrics(metrics: dict[str, Any], of: str) -> None:
    """Print recall and AUROC of each class, and what they come to; `of` says whose."""
    from rich.table import Table

    from neurosono.scripts.console import console

    exams, frames = metrics["exams"], metrics["frames"]
    table = Table("", "exams", "frames", title=f"{metrics['patients']} {of}")
    for key, name in (("recall", "recall"), ("auroc", "AUROC")):
        for label in exams[key]:
            table.add_row(f"{name} {label}", *(_say(each[key][label]) for each in (exams, frames)))
    for key, name in TOTALS.items():
        table.add_row(name, _say(exams[key]), _say(frames[key]))
    spans = (
        f"{each['accuracy_95'][0]:.1%} to {each['accuracy_95'][1]:.1%}" for each in (exams, frames)
    )
    table.add_row("accuracy, 95 %", *spans)
    console.print(table)


def _say(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
