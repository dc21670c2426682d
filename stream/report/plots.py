"""A report's drawings: bars with intervals, the running exam, its timeline.

Every series is told apart three ways, by colour, by stroke and by a label at its end, so that a
report also reads in grey and with any colour vision.
"""

from collections.abc import Sequence

import numpy as np

from neurosono.engine.pages.drawing import Drawing
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
PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_BOTTOM = 44, 590, 10, 220
"""The curves' plot; right of it stand the labels of the lines."""
SHARES = (0, 0.25, 0.5, 0.75, 1)
INK, SOFT, RULE = "#15191d", "#4a525a", "#d5dade"
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)

assert len(INKS) == len(STROKES) == len(CLASS_COLOURS)


def ink(place: int) -> str:
    """Return the colour of the class at this place, for white paper."""
    return INKS[place % len(INKS)]


def draw_bars(report: Report) -> Drawing | None:
    """Draw each class's probability as a bar, and its 95 % interval as a whisker."""
    snapshot, labels = report.exam.last, report.exam.labels
    if snapshot is None or not has_figures(snapshot):
        return None
    left, right, row = 170, 560, 30
    drawn = Drawing("Probabilities with 95 % intervals", WIDTH_PX, row * len(labels) + 26)
    for share in SHARES:
        x = left + share * (right - left)
        drawn.add_line(x, 4, x, drawn.height_px - 22, RULE)
        drawn.add_text(x, drawn.height_px - 6, f"{share:.0%}", "middle", fill=SOFT)
    leading = int(np.argmax(snapshot.probabilities))
    for place, label in enumerate(labels):
        value, low, high = (
            float(each[place]) for each in (snapshot.probabilities, snapshot.low, snapshot.high)
        )
        y = row * place + 8
        x, x_low, x_high = (left + share * (right - left) for share in (value, low, high))
        weight = 600 if place == leading else 400
        drawn.add_text(left - 10, y + 14, label, "end", fill=INK, font_weight=weight)
        drawn.add_box(left, y, max(0.5, x - left), 18, ink(place), fill_opacity=0.75)
        drawn.add_line(x_low, y + 9, x_high, y + 9, INK, stroke_width=1.6)
        drawn.add_line(x_low, y + 4, x_low, y + 14, INK, stroke_width=1.6)
        drawn.add_line(x_high, y + 4, x_high, y + 14, INK, stroke_width=1.6)
        said = f"{percentage(value)}  ({percentage(low)} to {percentage(high)})"
        drawn.add_text(right + 14, y + 14, said, "start", fill=INK, font_weight=weight)
    return drawn


def draw_curve(report: Report) -> Drawing | None:
    """Draw the exam's running probabilities over its time, with the leading class's interval."""
    points = report.curve
    if len(points) < 2:
        return None
    drawn = Drawing("Running probabilities over the exam", WIDTH_PX, PLOT_BOTTOM + 34)
    end_s = max(report.history.duration_s, points[-1][0], 1e-3)
    for stretch in report.history.stretches:
        if stretch.what == "ai-off":
            x, width = _at_x(stretch.begin_s, end_s), _at_x(stretch.end_s, end_s)
            height, fill = PLOT_BOTTOM - PLOT_TOP, LANES[1][2]
            drawn.add_box(x, PLOT_TOP, max(1.0, width - x), height, fill, fill_opacity=0.13)
    for share in SHARES:
        y = _at_y(share)
        drawn.add_line(PLOT_LEFT, y, PLOT_RIGHT, y, RULE)
        drawn.add_text(PLOT_LEFT - 6, y + 4, f"{share:.0%}", "end", fill=SOFT)
    _draw_time_axis(drawn, end_s, PLOT_BOTTOM)
    leading = int(np.argmax(points[-1][1]))
    edge = [(at, high[leading]) for at, _, _, high in points]
    edge += [(at, low[leading]) for at, _, low, _ in reversed(points)]
    drawn.add_area(_place(edge, end_s), ink(leading), fill_opacity=0.16)
    for place in range(len(report.exam.labels)):
        drawn.add_curve(
            _place([(at, mean[place]) for at, mean, _, _ in points], end_s),
            ink(place),
            stroke_width=2.4 if place == leading else 1.5,
            stroke_dasharray=STROKES[place % len(STROKES)],
        )
    _draw_end_labels(drawn, report.exam.labels, points[-1], end_s)
    return drawn


def draw_timeline(report: Report) -> Drawing:
    """Draw when there was no signal, no AI, or a frozen image; and when frames were kept."""
    history, left, right, row = report.history, 130, 700, 24
    end_s = max(history.duration_s, 1e-3)
    drawn = Drawing("Timeline of the exam", WIDTH_PX)
    for place, (what, words, fill) in enumerate(LANES):
        y = 6 + row * place
        drawn.add_text(left - 10, y + 13, words, "end", fill=INK)
        drawn.add_box(left, y, right - left, 16, "#eef1f3")
        for stretch in history.stretches:
            if stretch.what == what:
                x = left + stretch.begin_s / end_s * (right - left)
                width = (stretch.end_s - stretch.begin_s) / end_s * (right - left)
                drawn.add_box(x, y, max(1.5, width), 16, fill)
    y = 6 + row * len(LANES)
    drawn.add_text(left - 10, y + 13, "Kept frames", "end", fill=INK)
    drawn.add_line(left, y + 8, right, y + 8, "#8a949e")
    for number, picture in enumerate(report.pictures, 1):
        x = left + min(1.0, picture.at_s / end_s) * (right - left)
        diamond = ((x, y + 3), (x + 5, y + 8), (x, y + 13), (x - 5, y + 8))
        drawn.add_area(diamond, INK, f"frame {number}")
    _draw_time_axis(drawn, end_s, y + 18, left, right)
    drawn.height_px = y + 52
    return drawn


def name_clock(seconds: float) -> str:
    """Return a time since the exam began as `m:ss`, or `h:mm:ss`."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02d}" if hours else f"{rest // 60}"
    return f"{hours}:{minutes}:{rest % 60:02d}" if hours else f"{minutes}:{rest % 60:02d}"


def _draw_end_labels(drawn: Drawing, labels: Sequence[str], last: Point, end_s: float) -> None:
    """Write each line's label beside its end, moved apart where they would touch."""
    order = sorted(range(len(labels)), key=lambda place: -last[1][place])
    at = [_at_y(float(last[1][place])) for place in order]
    for index in range(1, len(at)):
        at[index] = max(at[index], at[index - 1] + 15)
    if at[-1] > PLOT_BOTTOM:
        lowest = (PLOT_BOTTOM - 15 * (len(at) - 1 - index) for index in range(len(at)))
        at = [min(y, most) for y, most in zip(at, lowest, strict=True)]
    x_end = _at_x(last[0], end_s)
    for place, y in zip(order, at, strict=True):
        own_y = _at_y(float(last[1][place]))
        drawn.add_line(x_end, own_y, PLOT_RIGHT + 12, y, ink(place), stroke_width=0.8)
        drawn.add_text(PLOT_RIGHT + 16, y + 4, labels[place], "start", fill=ink(place))


def _draw_time_axis(
    drawn: Drawing, end_s: float, y: float, left: float = PLOT_LEFT, right: float = PLOT_RIGHT
) -> None:
    step_s = next((step for step in TICK_STEPS_S if end_s / step <= 8), TICK_STEPS_S[-1])
    drawn.add_line(left, y, right, y, SOFT)
    for index in range(int(end_s / step_s) + 1):
        x = left + index * step_s / end_s * (right - left)
        drawn.add_line(x, y, x, y + 4, SOFT)
        drawn.add_text(x, y + 17, name_clock(index * step_s), "middle", fill=SOFT)


def _place(points: Sequence[tuple[float, float]], end_s: float) -> list[tuple[float, float]]:
    return [(_at_x(at, end_s), _at_y(share)) for at, share in points]


def _at_x(at_s: float, end_s: float) -> float:
    return PLOT_LEFT + at_s / end_s * (PLOT_RIGHT - PLOT_LEFT)


def _at_y(share: float) -> float:
    return PLOT_BOTTOM - share * (PLOT_BOTTOM - PLOT_TOP)
