"""The report: figures as JSON, a page to read, the plots of Bland and Altman."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosono.engine.files import writing
from neurosono.engine.pages.figure import draw_figure
from neurosono.engine.pages.render import render_page as render
from neurosono.training.report.words import say_interval

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

PAGE_NAME, FIGURES_NAME = "index.html", "figures.json"
TEMPLATE = Path(__file__).with_name("report.html")

POINTS, LINES = "#0072B2", "#D55E00"
"""Of Okabe and Ito's palette, which people with any colour vision can tell apart."""


def write_report(folder: Path, found: dict[str, Any]) -> Path:
    """Write `index.html` and `figures.json` of what `judge_runs` found; return the page's path."""
    return write_both(folder, render_page(found), found)


def write_both(folder: Path, page: str, found: Mapping[str, Any]) -> Path:
    """Write a page and the figures that stand on it; return the page's path."""
    with writing(folder, "choose another"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FIGURES_NAME).write_text(json.dumps(found, indent=2) + "\n")
        (folder / PAGE_NAME).write_text(page)
    return folder / PAGE_NAME


def render_page(found: dict[str, Any]) -> str:
    """Return the page; it loads nothing from anywhere."""
    kinds = [kind for kind in ("real", "phantom") if kind in found]
    plots = {kind: _plot_heads(found[kind]["heads"]) for kind in kinds}
    return render(TEMPLATE, found=found, kinds=kinds, plots=plots, say=say_interval)


def _plot_heads(heads: dict[str, Any]) -> "list[Markup]":
    names = (("hc_mm", "HC"), ("bpd_mm", "BPD"))
    return [draw_agreement(heads[key], name) for key, name in names if key in heads]


def draw_agreement(figures: dict[str, Any], name: str) -> "Markup":
    """Draw Bland and Altman's plot (Lancet 1986;327:307): differences over means, as SVG."""
    pairs = np.array(figures["pairs"])
    low, high = figures["limits_of_agreement"]
    bias = figures["bias"]["value"]

    def fill(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.plot(pairs.mean(1), pairs[:, 1] - pairs[:, 0], ".", color=POINTS, ms=4)
        for value, style in ((bias, "-"), (low, "--"), (high, "--")):
            axes.axhline(value, color=LINES, ls=style, lw=1)
            axes.annotate(f"{value:+.2f}", (1.0, value), xycoords=("axes fraction", "data"))
        axes.set(xlabel=f"mean of both {name}, mm", ylabel="found less true, mm")
        axes.set_title(f"{name}: bias and limits of agreement", fontsize=10, loc="left")

    return draw_figure(fill, f"{name}: bias and limits of agreement", (5.2, 3.6))
