"""`report/calibration.html`: what the calibration does, as a page that needs nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.files import write_whole
from neurosono.engine.pages.render import render_page

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name("page.html")
BEFORE, AFTER = "#b3541e", "#1f6feb"


def write_page(path: Path, name: str, calibration: Calibration, report: dict[str, Any]) -> None:
    """Write the page of `calibration.report.fit`'s report; raise `OutputError`."""
    checked = report["cross_checked"]
    page = render_page(
        TEMPLATE,
        name=name,
        calibration=calibration,
        report=report,
        diagrams=None if checked is None else _draw_diagrams(checked["diagrams"]),
    )
    write_whole(path, page, advice="free some space")


def _draw_diagrams(diagrams: dict[str, Any]) -> "Markup":
    from neurosono.engine.pages.figure import draw_figure

    before, mean = diagrams["frames_before"], diagrams["exams_mean"]

    def fill(figure: "Figure") -> None:
        frames, exams = figure.subplots(1, 2)
        _draw(frames, "Frames", before, diagrams["frames_after"], "as trained")
        _draw(exams, "Exams", mean, diagrams["exams_after"], "mean of frames")

    return draw_figure(fill, "What the model says, and how often it is right", (10, 4.6))


def _draw(
    axes: "Axes", title: str, before: list[dict[str, Any]], after: list[dict[str, Any]], was: str
) -> None:
    axes.plot([0, 1], [0, 1], color="#8a94a3", linewidth=1)
    for points, colour, name in ((before, BEFORE, was), (after, AFTER, "calibrated")):
        confidence = [point["confidence"] for point in points]
        accuracy = [point["accuracy"] for point in points]
        below = [max(0.0, point["accuracy"] - point["accuracy_95"][0]) for point in points]
        above = [max(0.0, point["accuracy_95"][1] - point["accuracy"]) for point in points]
        axes.errorbar(
            confidence, accuracy, yerr=[below, above], color=colour, label=name, marker="o",
            markersize=4, linewidth=1, elinewidth=0.6,
        )  # fmt: skip
    axes.set(title=title, xlabel="what it says", ylabel="how often it is right")
    axes.set(xlim=(0.2, 1.02), ylim=(0.2, 1.02))
    axes.legend(frameon=False, loc="lower right")
