"""The report: figures as JSON, a page to read, the plots of Bland and Altman."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.training.report.plots import COLOURS, draw_plot

PAGE_NAME, FIGURES_NAME = "index.html", "figures.json"


def write_report(folder: Path, found: dict[str, Any]) -> Path:
    """Write `index.html` and `figures.json` of what `judge_runs` found; return the page's path."""
    page = render_page(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FIGURES_NAME).write_text(json.dumps(found, indent=2) + "\n")
        (folder / PAGE_NAME).write_text(page)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}; choose another") from error
    return folder / PAGE_NAME


def render_page(found: dict[str, Any]) -> str:
    """Return the page; it loads nothing from anywhere."""
    text = resources.files("neurosono.training.detect").joinpath("report.html.jinja").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["say"] = say
    plots = {
        kind: _plot_heads(found[kind]["heads"]) for kind in ("real", "phantom") if kind in found
    }
    return environment.from_string(text).render(found=found, plots=plots, notice=NOTICE)


def say(interval: dict[str, float | None], digits: int = 3) -> str:
    """Return a value with its 95 % interval, as a person reads it."""
    if interval["value"] is None:
        return "-"
    value = f"{interval['value']:.{digits}f}"
    if interval["low"] is None:
        return value
    return f"{value} ({interval['low']:.{digits}f} to {interval['high']:.{digits}f})"


def _plot_heads(heads: dict[str, Any]) -> list[Markup]:
    names = (("hc_mm", "HC"), ("bpd_mm", "BPD"))
    return [Markup(draw_agreement(heads[key], name)) for key, name in names if key in heads]  # noqa: S704


def draw_agreement(figures: dict[str, Any], name: str) -> str:
    """Draw Bland and Altman's plot (Lancet 1986;327:307): differences over means, as SVG."""
    pairs = np.array(figures["pairs"])
    low, high = figures["limits_of_agreement"]
    bias = figures["bias"]["value"]

    def fill(axes: Axes) -> None:
        axes.plot(pairs.mean(1), pairs[:, 1] - pairs[:, 0], ".", color=COLOURS[0], ms=4)
        for value, style in ((bias, "-"), (low, "--"), (high, "--")):
            axes.axhline(value, color=COLOURS[1], ls=style, lw=1)
            axes.annotate(f"{value:+.2f}", (1.0, value), xycoords=("axes fraction", "data"))
        axes.set(xlabel=f"mean of both {name}, mm", ylabel="found less true, mm")

    return draw_plot(fill, f"{name}: bias and limits of agreement", (5.2, 3.6))
