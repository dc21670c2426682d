"""A report as one HTML file that needs nothing else: no script, no font, nothing from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosono.engine.files import write_whole, writing
from neurosono.engine.pages.render import render_page
from neurosono.stream.bench.charts import Distribution, draw_cdf, draw_timeline

TEMPLATE = Path(__file__).with_name("page.html")
_LEVELS = ("p50", "p95", "p99", "p99_9", "max")


def write_page(path: Path, report: Mapping[str, Any]) -> None:
    """Write the page; raises `OutputError` where it cannot be written."""
    with writing(path, "choose another --html"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, draw_page(report), advice="choose another --html")


def draw_page(report: Mapping[str, Any]) -> str:
    """Return the page as HTML."""
    comparison = report.get("comparison") or {"metrics": []}
    return render_page(
        TEMPLATE,
        report=report,
        headlines=list_headlines(report),
        ages_drawn=draw_cdf(_list_curves(report)),
        timeline=draw_timeline(report["timeline"]),
        stages=_list_stages(report["stages"]),
        compared=[(row["name"], say_ratio(row), row["verdict"]) for row in comparison["metrics"]],
    )


def list_headlines(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows that matter most: what, ours, the floor's, their ratio; for any display."""
    closed, opened = report["closed_loop"], report["open_loop"]
    floor, network = report.get("floor") or {}, report.get("network_floor") or {}
    ratios = report["ratios"]
    rows = [
        (
            "closed loop, beside the floor",
            f"{closed['fps']:.1f} fps",
            _number(floor, "fps", "fps"),
            say_ratio(ratios.get("closed_loop_fps_to_floor")),
        ),
        (
            "closed loop, beside the network alone",
            f"{closed['fps']:.1f} fps",
            _number(network, "fps", "fps"),
            say_ratio(ratios.get("closed_loop_fps_to_network")),
        ),
    ]
    for name, title in (("age", "picture"), ("answer_age", "answer")):
        ours, theirs = opened[f"{name}_ms"] or {}, floor.get("age_ms") or {}
        rows += [
            (
                f"age of the {title}, {level}",
                _number(ours, level, "ms"),
                _number(theirs, level, "ms"),
                say_ratio(ratios.get(f"{name}_{level}_to_floor")),
            )
            for level in ("p50", "p99")
        ]
    drops, jitter = opened["drops"], opened["jitter_ms"] or {}
    cost, memory = closed["cpu_ms_per_frame"] or {}, closed["memory_mib"] or {}
    return [
        *rows,
        ("jitter, p99", _number(jitter, "p99", "ms"), "-", "-"),
        ("pictures, frames dropped", f"{drops['pictures']}, {drops['frames']}", "0, 0", "-"),
        (
            "CPU a frame",
            _number(cost, "together", "ms"),
            _number(floor, "cpu_ms_per_frame", "ms"),
            "-",
        ),
        ("CPU a frame without the engine process", _number(cost, "without_engine", "ms"), "-", "-"),
        (
            "memory together",
            _number(memory, "together", "MiB"),
            _number(floor, "peak_mib", "MiB"),
            "-",
        ),
        ("start to first overlay", _number(closed, "startup_s", "s"), "-", "-"),
    ]


def say_ratio(ratio: Mapping[str, Any] | None) -> str:
    """Return a ratio in words, with its interval where it has one."""
    if ratio is None:
        return "-"
    if ratio["low"] is None:
        return f"{ratio['median']:.3f}"
    return f"{ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def _number(found: Mapping[str, Any], name: str, unit: str) -> str:
    return f"{found[name]:.1f} {unit}" if found.get(name) is not None else "-"


def _list_curves(report: Mapping[str, Any]) -> list[Distribution]:
    cdf, floor = report["open_loop"]["cdf"], report.get("floor") or {}
    return [
        Distribution("picture", "#0072b2", cdf["age"]),
        Distribution("answer", "#d55e00", cdf["answer"]),
        Distribution(
            "floor: picture with its own answer", "#555555", floor.get("cdf", []), dashed=True
        ),
    ]


def _list_stages(stages: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    return [
        (stage, *(f"{found[level]:.2f}" for level in _LEVELS)) for stage, found in stages.items()
    ]
