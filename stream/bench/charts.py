"""The pictures of a bench report, as SVG: distributions of age, and a timeline of stages."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT = 960.0, 76.0, 24.0
"""Pixels; between `LEFT` and `RIGHT` is what is drawn."""

CDF_HEIGHT = 330.0
SHARES = (0.0, 0.5, 0.9, 0.99, 0.999)
"""Ruled shares. The axis is logarithmic in what lies above a share, for tails are what counts."""

LANES = ("capture", "engine", "display")
LANE_HEIGHT = 46.0
STAGE_COLOURS = {
    "decode": "#56b4e9",
    "screen": "#0072b2",
    "preprocess": "#009e73",
    "sample": "#7fc97f",
    "send": "#999999",
    "network": "#d55e00",
    "exam": "#e69f00",
    "overlay": "#cc79a7",
    "display": "#785078",
    "page": "#cc79a7",
}
"""After Okabe and Ito (2008): told apart with any colour vision."""


@dataclass(frozen=True)
class Curve:
    """One distribution: points of (milliseconds, share at or below)."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def draw_cdf(curves: Sequence[Curve]) -> str:
    """Draw distributions over a logarithmic axis of milliseconds; empty curves are left out."""
    drawn = [curve for curve in curves if curve.points]
    values = [max(x, 0.1) for curve in drawn for x, _ in curve.points]
    if not values:
        return "<p>nothing was measured</p>"
    low, high = min(values) * 0.9, max(values) * 1.1
    span = math.log(high / low)
    top, bottom = 16.0, CDF_HEIGHT - 44.0

    def at_x(milliseconds: float) -> float:
        share = math.log(max(milliseconds, low) / low) / span
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    deepest = -math.log10(1 - SHARES[-1])

    def at_y(share: float) -> float:
        depth = -math.log10(max(1.0 - share, 1e-9))
        return bottom - min(depth / deepest, 1.0) * (bottom - top)

    parts = [_line(LEFT, at_y(s), WIDTH - RIGHT, at_y(s), "#d8dde3") for s in SHARES]
    parts += [_text(LEFT - 8, at_y(s) + 4, f"{100 * s:g} %", "end") for s in SHARES]
    for tick in _log_ticks(low, high):
        parts.append(_line(at_x(tick), top, at_x(tick), bottom, "#eceff2"))
        parts.append(_text(at_x(tick), bottom + 18, f"{tick:g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, "milliseconds", "middle"))
    for curve in drawn:
        steps = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in curve.points)
        dash = ' stroke-dasharray="7 4"' if curve.dashed else ""
        parts.append(
            f'<polyline points="{steps}" fill="none" stroke="{curve.colour}" '
            f'stroke-width="2.2"{dash}/>'
        )
    keys = [(curve.name, curve.colour) for curve in drawn]
    return _svg(CDF_HEIGHT, parts, "How old pictures and answers are") + _legend(keys)


def draw_timeline(pictures: Sequence[Mapping[str, Any]]) -> str:
    """Draw when each process did what for a few pictures in a row."""
    bars = [bar for picture in pictures for bar in picture["bars"]]
    if not bars:
        return "<p>nothing was measured</p>"
    begin = min(0.0, *(float(bar["start_ms"]) for bar in bars))
    end = max(float(bar["end_ms"]) for bar in bars)
    scale = (WIDTH - LEFT - RIGHT) / max(end - begin, 1e-6)
    bottom = 26.0 + LANE_HEIGHT * len(LANES)

    def at_x(milliseconds: float) -> float:
        return LEFT + (milliseconds - begin) * scale

    parts = []
    for place, lane in enumerate(LANES):
        y = 26.0 + LANE_HEIGHT * place
        parts.append(
            _line(LEFT, y + LANE_HEIGHT - 6, WIDTH - RIGHT, y + LANE_HEIGHT - 6, "#d8dde3")
        )
        parts.append(_text(LEFT - 8, y + 24, lane, "end"))
    for picture in pictures:
        if picture["due_ms"] is not None:
            x = at_x(float(picture["due_ms"]))
            parts.append(_line(x, 18, x, bottom, "#333333", ' stroke-dasharray="3 3"'))
            parts.append(_text(x, 13, f"{picture['index']} due", "middle"))
        parts += [_bar(bar, picture["index"], at_x) for bar in picture["bars"]]
    for tick in _even_ticks(begin, end):
        parts.append(_text(at_x(tick), bottom + 14, f"{tick:g} ms", "middle"))
    used = [stage for stage in STAGE_COLOURS if any(bar["stage"] == stage for bar in bars)]
    keys = [(stage, STAGE_COLOURS[stage]) for stage in used]
    return _svg(bottom + 22, parts, "Where each picture was when") + _legend(keys)


def _bar(bar: Mapping[str, Any], index: int, at_x: Any) -> str:
    start, end = float(bar["start_ms"]), float(bar["end_ms"])
    y = 26.0 + LANE_HEIGHT * LANES.index(bar["lane"]) + 4
    words = escape(f"picture {index}: {bar['stage']} {end - start:.2f} ms")
    colour = STAGE_COLOURS.get(bar["stage"], "#999999")
    return (
        f'<rect x="{at_x(start):.2f}" y="{y:.1f}" width="{max(0.6, at_x(end) - at_x(start)):.2f}" '
        f'height="{LANE_HEIGHT - 16:.1f}" fill="{colour}"><title>{words}</title></rect>'
    )


def _log_ticks(low: float, high: float) -> list[float]:
    ticks = [m * 10.0**e for e in range(-2, 6) for m in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def _even_ticks(begin: float, end: float) -> list[float]:
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1e9) if (end - begin) / s <= 12)
    first = math.ceil(begin / step)
    return [n * step for n in range(first, math.floor(end / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="1"{more}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    head = f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


def _legend(keys: Sequence[tuple[str, str]]) -> str:
    items = [
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in keys
    ]
    return f'<p class="legend">{"".join(items)}</p>'
