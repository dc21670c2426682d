"""A Matplotlib figure as SVG that stands inside a page: no script, no font file, no address."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#15191d"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8a949e",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""Text stays text: it can be searched, read aloud and enlarged."""


def draw_figure(fill: Callable[[Figure], None], title: str, size_in: tuple[float, float]) -> Markup:
    """Return what `fill` draws on a figure; the same numbers give the same text.

    `title` is what is read aloud in its place, and keeps its ids apart from other figures'.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=size_in, layout="constrained")
        fill(figure)
        FigureCanvasSVG(figure)
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        with warnings.catch_warnings():
            # Only the measuring font lacks the letter; the browser draws it with its own.
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            figure.savefig(text, format="svg", metadata=nothing, transparent=True)
    return _inline(text.getvalue(), title)


def _inline(svg: str, title: str) -> Markup:
    """Strip what an SVG needs only as a file of its own: the page then holds no address at all.

    Ids that nothing refers to go too: they would stand on the page once a plot.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", body)
    used = set(re.findall(r"#([\w-]+)[\")]", body))
    body = re.sub(r'\sid="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    # Matplotlib has escaped whatever words it was given.
    return Markup(body.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1))  # noqa: S704
