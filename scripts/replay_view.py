"""A replay as the terminal shows it: progress while it runs, a table at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.table import Table

from neurosono.engine.contracts.errors import RunError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.kinds import kind_named
from neurosono.engine.timing import TIMED
from neurosono.scripts.console import check_json_place, console, write_json_report
from neurosono.stream.processes.heap import collect_from_here
from neurosono.stream.replay.files import EXAM_NAME, FRAMES_NAME, OVERLAY_NAME
from neurosono.stream.view.words import LEANS, SILENT, percentage

if TYPE_CHECKING:
    from pathlib import Path

    from neurosono.stream.replay.options import ReplayOptions
    from neurosono.stream.replay.sink import Progress

REFRESH_HZ = 8


def run_replay(options: ReplayOptions, json_path: Path | None) -> dict[str, Any]:
    """Replay with a progress line, then print the exam and the paths of what was written."""
    # a live session shows an exam and plays none
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    from neurosono.stream.replay.run import replay

    collect_from_here()
    check_json_place(json_path)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    begun_s = time.monotonic()
    with Bar(*columns, console=console, refresh_per_second=REFRESH_HZ, transient=True) as bar:
        task = bar.add_task("opening the source and the engine")

        def show(progress: Progress) -> None:
            for line in progress.told:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            used = 0 if progress.exam is None else progress.exam.used
            rate_hz = progress.decoded / max(1e-9, time.monotonic() - begun_s)
            text = f"{progress.decoded} frames, {used} of {progress.sampled} sampled ones used"
            bar.update(task, description=f"{text}, {rate_hz:.0f} fps")

        try:
            record = replay(options, show)
        except RunError:
            if (options.out / EXAM_NAME).is_file():
                console.print(f"Kept up to there: {options.out / EXAM_NAME}")
            raise
    if record["nothing_used"] is not None:
        console.print(record["nothing_used"], style="bold", soft_wrap=True)
    console.print(describe(record))
    if TIMED in (reason := record["engine"].get("reason", "")):
        console.print(f"engine: {reason}", markup=False, highlight=False, soft_wrap=True)
    for line in tell_readings(record):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for name in (OVERLAY_NAME, EXAM_NAME, FRAMES_NAME):
        if (options.out / name).is_file():
            console.print(f"  {options.out / name}", soft_wrap=True)
    write_json_report(json_path, record)
    return record


def describe(record: dict[str, Any]) -> Table:
    """Return an exam as a table."""
    frames, engine = record["frames"], record["engine"]
    title = f"{record['source']}\n{record['state']}: {record['state_sentence']}"
    table = Table(title=title, caption=NOTICE, title_justify="left", min_width=60)
    table.add_column("class")
    table.add_column("probability", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("in set", justify="center")
    silent = record["state"] in SILENT
    probabilities = {} if silent else record["probabilities"] or {}
    intervals = {} if silent else record["intervals_95"] or {}
    for label in record["labels"]:
        winner = label == record["prediction"]
        low, high = intervals.get(label, (None, None))
        figure = percentage(probabilities[label]) if probabilities else "-"
        table.add_row(
            label,
            LEANS if silent and winner else figure,
            f"{percentage(low)} to {percentage(high)}" if low is not None else "-",
            "yes" if label in record["prediction_set"] and not silent else "",
            style="bold" if winner else None,
        )
    skipped = ", ".join(f"{count} {reason}" for reason, count in frames["skipped"].items())
    table.add_section()
    if carried := record.get("carried_by"):
        table.add_row("carried by", *carried["words"].split("; "), "")
    table.add_row("frames", f"{frames['decoded']}", f"{frames['dropped']} dropped", "")
    table.add_row("sampled", f"{frames['sampled']}", f"{frames['used']} used", "")
    table.add_row("skipped", f"{frames['sampled'] - frames['used']}", skipped or "none", "")
    for role, stage, found in (
        ("student" if "student" in record else "engine", "network", engine),
        ("ensemble", "ensemble", engine.get("ensemble")),
    ):
        if found is not None:
            words = "never ready"
            if "backend" in found:
                words = f"{found['backend']} {found['precision']} x{found['members']}"
            took = record["latency_ms"].get(stage)
            table.add_row(role, words, f"{took['p50']:.1f} ms a frame" if took else "-", "")
    return table


def tell_readings(record: dict[str, Any]) -> list[str]:
    """Return what other bundles read, a line each thing."""
    lines = []
    for name, reading in record.get("readings", {}).items():
        frames = reading["frames"]
        lines.append(f"{name}: {frames['used']} of {frames['sampled']} frames read")
        lines += [f"  {line}" for line in kind_named(reading["kind"]).tell(reading).lines]
    return lines
