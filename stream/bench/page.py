"""A report as one HTML file that needs nothing else: no script, no font, nothing from outside."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.bench.charts import Curve, draw_cdf, draw_timeline

_LEVELS = ("p50", "p95", "p99", "p99_9", "max")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b222b;background:#fff;max-width:980px;
margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin-bottom:.1em}h2{font-size:1.15em;margin:2em 0 .4em}
p{margin:.4em 0}.soft{color:#55606e}
.notice{background:#fff4dc;border-left:4px solid #e69f00;padding:.5em .8em}
svg{width:100%;height:auto;display:block}svg text{font:13px system-ui,sans-serif;fill:#3d4855}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.28em .6em;border-bottom:1px solid #e3e7eb}
th:first-child,td:first-child{text-align:left}th{font-weight:600;color:#55606e}
.legend span{margin-right:1.4em;white-space:nowrap}
.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.4em;vertical-align:-.1em}
"""


def write_page(path: Path, report: Mapping[str, Any]) -> None:
    """Write the page; raises `OutputError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw_page(report), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; choose another --html"
        ) from error


def draw_page(report: Mapping[str, Any]) -> str:
    """Return the page as HTML."""
    engine, host = report["engine"], report["host"]
    words = f"{engine.get('backend')} {engine.get('precision')} x{engine.get('members')}"
    machine = f"{host.get('processor')}, {host.get('cores')} cores"
    parts = [
        f"<h1>neurosono bench: {escape(words)}</h1>",
        f'<p class="soft">{escape(report["source"])}. {escape(machine)}. '
        f"{escape(report['measured_at'])}</p>",
        f'<p class="notice">{escape(report["notice"])}</p>',
        "<h2>Throughput and age, beside the floor of the same run</h2>",
        _table(("", "pipeline", "floor", "ratio, 95 % interval"), list_headlines(report)),
        "<h2>How old pictures and answers are when a viewer has them, in real time</h2>",
        '<p class="soft">Counted from when a picture was due. The axis stretches the tail: each '
        "line is ten times rarer than the one below.</p>",
        draw_cdf(_list_curves(report)),
        "<h2>Where each picture was when</h2>",
        draw_timeline(report["timeline"]),
        "<h2>Stage by stage, in real time, milliseconds</h2>",
        _table(("stage", "p50", "p95", "p99", "p99.9", "max"), _list_stages(report["stages"])),
        *_draw_glass(report["open_loop"]),
        *_draw_comparison(report.get("comparison")),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>neurosono bench</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
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


def _list_curves(report: Mapping[str, Any]) -> list[Curve]:
    cdf, floor = report["open_loop"]["cdf"], report.get("floor") or {}
    return [
        Curve("picture", "#0072b2", cdf["age"]),
        Curve("answer", "#d55e00", cdf["answer"]),
        Curve("floor: picture with its own answer", "#555555", floor.get("cdf", []), dashed=True),
    ]


def _list_stages(stages: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    return [
        (stage, *(f"{found[level]:.2f}" for level in _LEVELS)) for stage, found in stages.items()
    ]


def _draw_glass(opened: Mapping[str, Any]) -> list[str]:
    glass, ages = opened["glass"], opened["glass_age_ms"]
    if not glass:
        return []
    counts = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in glass.items())
    age = f" Age by pixels: p50 {ages['p50']:.1f} ms, p99 {ages['p99']:.1f} ms." if ages else ""
    title = "<h2>Glass to glass: numbers read back from the page's pictures</h2>"
    return [title, f"<p>{escape(counts)}.{escape(age)}</p>"]


def _draw_comparison(comparison: Mapping[str, Any] | None) -> list[str]:
    if comparison is None:
        return []
    rows = [(row["name"], say_ratio(row), row["verdict"]) for row in comparison["metrics"]]
    cautions = "".join(f"<li>{escape(each)}</li>" for each in comparison["cautions"])
    return [
        f"<h2>Against the older report: {escape(comparison['verdict'])}</h2>",
        _table(("", f"new / old, {comparison['basis']}", "verdict"), rows),
        f"<ul>{cautions}</ul>" if cautions else "",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(each)}</td>" for each in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
