"""What many scanners on one server came to, as the terminal shows it."""

from typing import Any

from rich.table import Table

from neurosono.engine.contracts.notice import NOTICE
from neurosono.scripts.bench_view import watch_steps
from neurosono.scripts.console import console
from neurosono.stream.bench.scanners import ScannersPlan, run_scanners


def bench_scanners(*wanted: Any) -> dict[str, Any]:
    """Measure what `ScannersPlan` takes, print it, and return the report."""
    plan = ScannersPlan(*wanted)
    with watch_steps() as on_step:
        report = run_scanners(plan, on_step)
    console.print(describe_scanners(report))
    return report


def describe_scanners(report: dict[str, Any]) -> Table:
    """Return a report of `bench --scanners` as a table."""
    table = Table(title="Many scanners, one server", caption=NOTICE, title_justify="left")
    for name in (
        "phase",
        "scanners",
        "network p50 / p99",
        "answer p50 / p99",
        "fairness",
        "adds up",
    ):
        table.add_column(name)
    for phase in ("alone", "own", "calm", "half"):
        found = report[phase]
        ages = [found[name] or {"p50": 0.0, "p99": 0.0} for name in ("network_ms", "answer_ms")]
        spans = [f"{each['p50']:.1f} / {each['p99']:.1f} ms" for each in ages]
        adds = "yes" if found["adds_up"] else "NO"
        table.add_row(phase, f"{found['scanners']}", *spans, f"{found['fairness']:.3f}", adds)
    table.add_section()
    if added := report["calm"]["added_ms"]:
        table.add_row("added", "", f"{added['p50']:+.1f} / {added['p99']:+.1f} ms", "", "", "")
    told = report["troubles"]
    for kind in ("hang", "kill"):
        if kind in told:
            found = told[kind]
            off, back = found["off_ms"] or {}, found["back_s"] or {}
            table.add_row(
                kind,
                f"{told['count']} in all",
                f"AI OFF after {off.get('p50', 0):.0f} to {off.get('max', 0):.0f} ms",
                f"ON again after {back.get('max', 0):.1f} s",
                f"{found['stale']} stale",
                "yes" if told["adds_up"] else "NO",
            )
    return table
