"""A report's drawings, as inline SVG: bars with intervals, the running exam, its timeline.

Every series is told apart three ways, by colour, by stroke and by a label at its end, so that a
report also reads in grey and with any colour vision. All text is escaped.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from neurosono.stream.report.events import Stretch
from neurosono.stream.report.gather import Point, Report
from neurosono.stream.view.palette import CLASS_COLOURS
from neurosono.stream.view.words import has_figures, percentage

INKS = ("#a86200", "#1f78b4", "#7a7000", "#a8487d", "#00795a", "#b84a00", "#20558a", "#5c6670")
"""By place in the labels, the hues of `view.palette.CLASS_COLOURS`, darkened for white paper: a
contrast of at least 3 to 1 (WCAG 2.2, graphics), where Okabe and Ito's yellow has 1.3."""
STROKES = ("", "7 3", "2 3", "9 3 2 3", "14 4", "4 2", "1 2", "9 3 2 3 2 3")
LANES = (
    ("no-signal", "No video signal", "#3b4148"),
    ("ai-off", "AI off", "#b84a00"),
    ("ai-hidden", "AI hidden", "#8a949e"),
    ("frozen", "Image frozen", "#1f78b4"),
)
WIDTH_PX = 720
PLOT_LEFT, PLOT_RIGHT = 44, 590
"""The curves' plot; right of it stand the labels of the lines."""
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)

assert len(INKS) == len(STROKES) == len(CLASS_COLOURS)


def ink(place: int) -> str:
    """Return the colour of the class at this place, for white paper."""
    return INKS[place % len(INKS)]


def draw_bars(report: Report) -> str:
    """Draw each class's probability as a bar, and its 95 % interval as a whisker."""
    snapshot, labels = report.exam.last, report.exam.labels
    if snapshot is None or not has_figures(snapshot):
        return ""
    left, right, row = 170, 560, 30
    height = row * len(labels) + 26
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + share * (right - left)
        parts.append(_line(x, 4, x, height - 22, "#d5dade"))
        parts.append(_text(x, height - 6, f"{share:.0%}", "middle", "#4a525a"))
    leading = int(np.argmax(snapshot.probabilities))
    for place, label in enumerate(labels):
        value, low, high = (
            float(each[place]) for each in (snapshot.probabilities, snapshot.low, snapshot.high)
        )
        y = row * place + 8
        x, x_low, x_high = (left + share * (right - left) for share in (value, low, high))
        weight = ' font-weight="600"' if place == leading else ""
        parts.append(_text(left - 10, y + 14, label, "end", "#15191d", weight))
        fill = ink(place)
        parts.append(
            f'<rect x="{left}" y="{y}" width="{max(0.5, x - left):.1f}" height="18" '
            f'fill="{fill}" fill-opacity="0.75"/>'
        )
        parts.append(_line(x_low, y + 9, x_high, y + 9, "#15191d", 'stroke-width="1.6"'))
        parts.append(_line(x_low, y + 4, x_low, y + 14, "#15191d", 'stroke-width="1.6"'))
        parts.append(_line(x_high, y + 4, x_high, y + 14, "#15191d", 'stroke-width="1.6"'))
        said = f"{percentage(value)}  ({percentage(low)} to {percentage(high)})"
        parts.append(_text(right + 14, y + 14, said, "start", "#15191d", weight))
    return _svg(height, "Probabilities with 95 % intervals", parts)


def draw_curve(report: Report) -> str:
    """Draw the exam's running probabilities over its time, with the leading class's interval."""
    points = report.curve
    if len(points) < 2:
        return ""
    top, bottom = 10, 220
    end_s = max(report.history.duration_s, points[-1][0], 1e-3)
    parts = [
        _shade(stretch, end_s, top, bottom)
        for stretch in report.history.stretches
        if stretch.what == "ai-off"
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - share * (bottom - top)
        parts.append(_line(PLOT_LEFT, y, PLOT_RIGHT, y, "#d5dade"))
        parts.append(_text(PLOT_LEFT - 6, y + 4, f"{share:.0%}", "end", "#4a525a"))
    parts += _time_axis(end_s, bottom)
    leading = int(np.argmax(points[-1][1]))
    edge = [(at, high[leading]) for at, _, _, high in points]
    edge += [(at, low[leading]) for at, _, low, _ in reversed(points)]
    band = _join(edge, end_s, top, bottom)
    parts.append(f'<polygon points="{band}" fill="{ink(leading)}" fill-opacity="0.16"/>')
    for place in range(len(report.exam.labels)):
        line = _join([(at, mean[place]) for at, mean, _, _ in points], end_s, top, bottom)
        width = 2.4 if place == leading else 1.5
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{ink(place)}" stroke-width="{width}" '
            f'stroke-dasharray="{STROKES[place % len(STROKES)]}"/>'
        )
    parts += _end_labels(report.exam.labels, points[-1], end_s, top, bottom)
    return _svg(bottom + 34, "Running probabilities over the exam", parts)


def draw_timeline(report: Report) -> str:
    """Draw when there was no signal, no AI, or a frozen image; and when frames were kept."""
    history, left, right, row = report.history, 130, 700, 24
    end_s = max(history.duration_s, 1e-3)
    parts = []
    for place, (what, words, fill) in enumerate(LANES):
        y = 6 + row * place
        parts.append(_text(left - 10, y + 13, words, "end", "#15191d"))
        parts.append(
            f'<rect x="{left}" y="{y}" width="{right - left}" height="16" fill="#eef1f3"/>'
        )
        for stretch in history.stretches:
            if stretch.what == what:
                x = left + stretch.begin_s / end_s * (right - left)
                width = (stretch.end_s - stretch.begin_s) / end_s * (right - left)
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{max(1.5, width):.1f}" height="16" '
                    f'fill="{fill}"/>'
                )
    y = 6 + row * len(LANES)
    parts.append(_text(left - 10, y + 13, "Kept frames", "end", "#15191d"))
    parts.append(_line(left, y + 8, right, y + 8, "#8a949e"))
    for number, picture in enumerate(report.pictures, 1):
        x = left + min(1.0, picture.at_s / end_s) * (right - left)
        parts.append(
            f'<path d="M{x:.1f} {y + 3} l5 5 l-5 5 l-5 -5 z" fill="#15191d">'
            f"<title>frame {number}</title></path>"
        )
    parts += _time_axis(end_s, y + 18, left, right)
    return _svg(y + 52, "Timeline of the exam", parts)


def name_clock(seconds: float) -> str:
    """Return a time since the exam began as `m:ss`, or `h:mm:ss`."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02d}" if hours else f"{rest // 60}"
    return f"{hours}:{minutes}:{rest % 60:02d}" if hours else f"{minutes}:{rest % 60:02d}"


def _end_labels(
    labels: Sequence[str], last: Point, end_s: float, top: float, bottom: float
) -> list[str]:
    """Write each line's label beside its end, moved apart where they would touch."""
    x_end = PLOT_LEFT + last[0] / end_s * (PLOT_RIGHT - PLOT_LEFT)
    order = sorted(range(len(labels)), key=lambda place: -last[1][place])
    at = [bottom - float(last[1][place]) * (bottom - top) for place in order]
    for index in range(1, len(at)):
        at[index] = max(at[index], at[index - 1] + 15)
    excess = max(0.0, at[-1] - bottom)
    at = [
        min(y, bottom - 15 * (len(at) - 1 - index)) if excess else y for index, y in enumerate(at)
    ]
    parts = []
    for place, y in zip(order, at, strict=True):
        own_y = bottom - float(last[1][place]) * (bottom - top)
        parts.append(_line(x_end, own_y, PLOT_RIGHT + 12, y, ink(place), 'stroke-width="0.8"'))
        parts.append(_text(PLOT_RIGHT + 16, y + 4, labels[place], "start", ink(place)))
    return parts


def _time_axis(
    end_s: float, y: float, left: float = PLOT_LEFT, right: float = PLOT_RIGHT
) -> list[str]:
    step_s = next((step for step in TICK_STEPS_S if end_s / step <= 8), TICK_STEPS_S[-1])
    parts = [_line(left, y, right, y, "#4a525a")]
    for index in range(int(end_s / step_s) + 1):
        x = left + index * step_s / end_s * (right - left)
        parts.append(_line(x, y, x, y + 4, "#4a525a"))
        parts.append(_text(x, y + 17, name_clock(index * step_s), "middle", "#4a525a"))
    return parts


def _shade(stretch: Stretch, end_s: float, top: float, bottom: float) -> str:
    scale = (PLOT_RIGHT - PLOT_LEFT) / end_s
    x, width = PLOT_LEFT + stretch.begin_s * scale, (stretch.end_s - stretch.begin_s) * scale
    return (
        f'<rect x="{x:.1f}" y="{top}" width="{max(1.0, width):.1f}" height="{bottom - top}" '
        'fill="#b84a00" fill-opacity="0.13"/>'
    )


def _join(points: Sequence[tuple[float, float]], end_s: float, top: float, bottom: float) -> str:
    scale_x, scale_y = (PLOT_RIGHT - PLOT_LEFT) / end_s, bottom - top
    return " ".join(
        f"{PLOT_LEFT + at * scale_x:.1f},{bottom - p * scale_y:.1f}" for at, p in points
    )


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str, more: str = "") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" {more}/>'
    )


def _text(x: float, y: float, words: str, anchor: str, fill: str, more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{more}>'
        f"{escape(words)}</text>"
    )


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH_PX} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
