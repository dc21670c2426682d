"""The pictures of a bench report, as drawings: distributions of age, and a timeline of stages."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurosono.engine.pages.drawing import Drawing

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
class Distribution:
    """One distribution: points of (milliseconds, share at or below)."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def draw_cdf(curves: Sequence[Distribution]) -> Drawing | None:
    """Draw distributions over a logarithmic axis of milliseconds; empty curves are left out.

    Returns None where all are empty.
    """
    shown = [curve for curve in curves if curve.points]
    values = [max(x, 0.1) for curve in shown for x, _ in curve.points]
    if not values:
        return None
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

    drawn = Drawing("How old pictures and answers are", WIDTH, CDF_HEIGHT)
    for share in SHARES:
        drawn.add_line(LEFT, at_y(share), WIDTH - RIGHT, at_y(share), "#d8dde3")
        drawn.add_text(LEFT - 8, at_y(share) + 4, f"{100 * share:g} %", "end")
    for tick in _log_ticks(low, high):
        drawn.add_line(at_x(tick), top, at_x(tick), bottom, "#eceff2")
        drawn.add_text(at_x(tick), bottom + 18, f"{tick:g}", "middle")
    drawn.add_text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, "milliseconds", "middle")
    for each in shown:
        drawn.add_curve(
            ((at_x(x), at_y(y)) for x, y in each.points),
            each.colour,
            stroke_width=2.2,
            stroke_dasharray="7 4" if each.dashed else "",
        )
    drawn.legend = [(each.name, each.colour) for each in shown]
    return drawn


def draw_timeline(pictures: Sequence[Mapping[str, Any]]) -> Drawing | None:
    """Draw when each process did what for a few pictures in a row; None where there are none."""
    bars = [bar for picture in pictures for bar in picture["bars"]]
    if not bars:
        return None
    begin = min(0.0, *(float(bar["start_ms"]) for bar in bars))
    end = max(float(bar["end_ms"]) for bar in bars)
    scale = (WIDTH - LEFT - RIGHT) / max(end - begin, 1e-6)
    bottom = 26.0 + LANE_HEIGHT * len(LANES)

    def at_x(milliseconds: float) -> float:
        return LEFT + (milliseconds - begin) * scale

    drawn = Drawing("Where each picture was when", WIDTH, bottom + 22)
    for place, lane in enumerate(LANES):
        y = 26.0 + LANE_HEIGHT * place
        drawn.add_line(LEFT, y + LANE_HEIGHT - 6, WIDTH - RIGHT, y + LANE_HEIGHT - 6, "#d8dde3")
        drawn.add_text(LEFT - 8, y + 24, lane, "end")
    for picture in pictures:
        if picture["due_ms"] is not None:
            x = at_x(float(picture["due_ms"]))
            drawn.add_line(x, 18, x, bottom, "#333333", stroke_dasharray="3 3")
            drawn.add_text(x, 13, f"{picture['index']} due", "middle")
        for bar in picture["bars"]:
            _add_bar(drawn, bar, picture["index"], at_x)
    for tick in _even_ticks(begin, end):
        drawn.add_text(at_x(tick), bottom + 14, f"{tick:g} ms", "middle")
    used = {bar["stage"] for bar in bars}
    drawn.legend = [(stage, colour) for stage, colour in STAGE_COLOURS.items() if stage in used]
    return drawn


def _add_bar(
    drawn: Drawing, bar: Mapping[str, Any], index: int, at_x: Callable[[float], float]
) -> None:
    start, end = float(bar["start_ms"]), float(bar["end_ms"])
    y = 26.0 + LANE_HEIGHT * LANES.index(bar["lane"]) + 4
    words = f"picture {index}: {bar['stage']} {end - start:.2f} ms"
    colour = STAGE_COLOURS.get(bar["stage"], "#999999")
    width = max(0.6, at_x(end) - at_x(start))
    drawn.add_box(at_x(start), y, width, LANE_HEIGHT - 16, colour, words)


def _log_ticks(low: float, high: float) -> list[float]:
    ticks = [m * 10.0**e for e in range(-2, 6) for m in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def _even_ticks(begin: float, end: float) -> list[float]:
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1e9) if (end - begin) / s <= 12)
    first = math.ceil(begin / step)
    return [n * step for n in range(first, math.floor(end / step) + 1)]
