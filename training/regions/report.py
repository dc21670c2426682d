"""The report on pairs: figures as JSON, and a page with the arms side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosono.engine.pages.render import render_page
from neurosono.training.detect.report import write_both
from neurosono.training.report.words import say_interval

TEMPLATE = Path(__file__).with_name("report.html")

PUBLISHED = {
    "auc": {"value": 0.96, "low": 0.90, "high": 1.0},
    "sensitivity": {"value": 13 / 15, "low": None, "high": None},
    "specificity": {"value": 29 / 32, "low": None, "high": None},
    "f1": {"value": 0.84, "low": None, "high": None},
}
"""Ramirez Zegarra et al. 2026 (doi 10.1148/ryai.250737), on the 47 women of their test set."""


def write_report(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write `index.html` and `figures.json` of `arms` and `bundles`; return the page's path."""
    page = render_page(TEMPLATE, found=found, published=PUBLISHED, say=say_interval)
    return write_both(folder, page, found)
