"""A bench as the terminal shows it: what runs while it runs, tables at the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.table import Table

from neurosono.engine.contracts.notice import NOTICE
from neurosono.scripts.console import console
from neurosono.stream.bench.page import list_headlines, say_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LEVELS = ("p50", "p95", "p99", "p99_9", "max")


@contextmanager
def watch_steps() -> Iterator[Callable[[str], None]]:
    """Show what is being measured."""
    if not console.is_terminal:  # a log gets lines, not a spinner
        yield lambda step: console.print(f"  {step}", soft_wrap=True)
        return
    with console.status("starting", refresh_per_second=1) as status:
        yield status.update


def describe(report: Mapping[str, Any]) -> list[Table]:
    """Return the report as tables: the loops beside their floors, then stage by stage."""
    tables = [_describe_loops(report), _describe_processes(report), _describe_stages(report)]
    if (comparison := report.get("comparison")) is not None:
        tables.append(_describe_comparison(comparison))
    return tables


def _describe_loops(report: Mapping[str, Any]) -> Table:
    engine = report["engine"]
    words = f"{engine.get('backend')} {engine.get('precision')} x{engine.get('members')}"
    table = Table(title=f"{report['source']}\n{words}", title_justify="left", caption=NOTICE)
    for name in ("", "pipeline", "floor", "ratio (95 % interval)"):
        table.add_column(name, justify="right" if name else "left")
    for row in list_headlines(report):
        table.add_row(*row)
    return table


def _describe_processes(report: Mapping[str, Any]) -> Table:
    """Return what each process costs, those of readers among them."""
    table = Table(title="Each process", title_justify="left")
    for name in ("", "CPU a picture, closed loop", "CPU a picture, real time", "memory"):
        table.add_column(name, justify="right" if name else "left")
    loops = [report["closed_loop"], report["open_loop"]]
    costs = [loop["cpu_ms_per_frame"] or {} for loop in loops]
    memory = (loops[-1]["memory_mib"] or {}).get("resident", {})
    roles = dict.fromkeys(role for cost in costs for role in cost)
    for role in (each for each in roles if each not in ("together", "without_engine")):
        cells = [f"{cost[role]:.1f} ms" if role in cost else "-" for cost in costs]
        table.add_row(role, *cells, f"{memory[role]:.0f} MiB" if role in memory else "-")
    return table


def _describe_stages(report: Mapping[str, Any]) -> Table:
    table = Table(title="Stage by stage, in real time, ms", title_justify="left")
    for name in ("stage", *_LEVELS):
        table.add_column(name.replace("_", "."), justify="left" if name == "stage" else "right")
    for stage, found in report["stages"].items():
        table.add_row(stage, *(f"{found[level]:.2f}" for level in _LEVELS))
    return table


def describe_sweep(report: Mapping[str, Any]) -> Table:
    """Return a sweep as a table: one row a combination."""
    table = Table(title="Sweep", title_justify="left", caption=NOTICE)
    columns = (
        *("", "fps", "to the first (95 % interval)", "age p50 / p99, ms", "answer p50 / p99, ms"),
        *("CPU, ms a frame", "memory, MiB"),
    )
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    for run in report["runs"]:
        closed, opened = run["closed_loop"], run["open_loop"]
        ratio = run["to_first"]["closed_loop_fps"]
        cpu, memory = closed["cpu_ms_per_frame"], closed["memory_mib"]
        table.add_row(
            run["choice"],
            f"{closed['fps']:.1f}",
            say_ratio(ratio),
            *(_say_ages(opened[name]) for name in ("age_ms", "answer_age_ms")),
            "-" if cpu is None else f"{cpu['together']:.1f}",
            "-" if memory is None else f"{memory['together']:.0f}",
        )
    return table


def _say_ages(found: Mapping[str, float] | None) -> str:
    return "-" if found is None else f"{found['p50']:.1f} / {found['p99']:.1f}"


def _describe_comparison(comparison: Mapping[str, Any]) -> Table:
    title = f"Against the older report ({comparison['basis']}): {comparison['verdict']}"
    cautions = "\n".join(comparison["cautions"]) or None
    table = Table(title=title, title_justify="left", caption=cautions, caption_justify="left")
    for name in ("", "new / old (95 % interval)", "verdict"):
        table.add_column(name)
    for row in comparison["metrics"]:
        table.add_row(row["name"], say_ratio(row), row["verdict"])
    return table
