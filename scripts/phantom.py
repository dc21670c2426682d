"""`neurosono phantom`: a cohort of labelled synthetic exams, in the layout that training reads."""

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[
        Path, typer.Option(help="A new folder: LABEL/PATIENT/clip_01.mp4 and cohort.csv.")
    ],
    exams: Annotated[int, typer.Option(min=1, help="How many exams, dealt over the classes.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same cohort.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of each exam.")] = 6.0,
    json: Annotated[
        Path | None, typer.Option(help="Also list the exams there; - for stdout.")
    ] = None,
) -> None:
    """Generate labelled synthetic exams. They look like ultrasound and prove nothing about it."""
    from rich.progress import Progress

    from engine.contracts.labels import DEFAULT_LABELS
    from scripts.console import console, write_json_report
    from stream.phantom.cohort import write_cohort

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("exams", total=exams)
        rows = write_cohort(
            out,
            exams=exams,
            seed=seed,
            labels=DEFAULT_LABELS,
            seconds=seconds,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(f"{len(rows)} exams in {out}", soft_wrap=True)
    write_json_report(json, {"out": str(out), "exams": len(rows), "seed": seed})
