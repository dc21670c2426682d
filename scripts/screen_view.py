"""What a sonographer waits for, as the terminal shows it."""

from typing import Any

from rich.table import Table

from neurosono.engine.contracts.notice import NOTICE
from neurosono.scripts.bench_view import watch_steps
from neurosono.scripts.console import console
from neurosono.stream.bench.screen import measure_screen
from neurosono.stream.bench.settings import BenchSettings

WORDS = {
    "glass": "picture: from the scanner's store to painted",
    "floor": "the floor: one process, a file, nothing sent or painted",
    "answer": "answer: from the picture received to its result known",
    "way": "encoded, sent, whole again",
    "capture": "received to handed to the page",
    "decode": "of it: decoded",
    "screen": "of it: region followed",
    "page": "handed to the page to painted and told",
}


def bench_screen(settings: BenchSettings, browser: str) -> dict[str, Any]:
    """Measure what `measure_screen` does, print it, and return the report."""
    with watch_steps() as on_step:
        report = measure_screen(settings, browser, on_step)
    console.print(describe_screen(report))
    return report


def describe_screen(report: dict[str, Any]) -> Table:
    """Return a report of `bench --browser` as a table."""
    counts = report["pictures"]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    table = Table(title=f"{report['source']}\n{told}", title_justify="left", caption=NOTICE)
    for name in ("ms", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="left" if name == "ms" else "right")
    rows = {name: report[f"{name}_ms"] for name in ("glass", "floor", "answer")} | report["stages"]
    for name, found in rows.items():
        if name == "way":
            table.add_section()
        if found is not None:
            levels = (f"{found[level]:.1f}" for level in ("p50", "p95", "p99", "max"))
            table.add_row(WORDS[name], *levels)
    return table
