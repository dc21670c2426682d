"""`report/calibration.html`: what the calibration does, as a page that needs nothing else."""

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.contracts.notice import NOTICE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #d8dee6; text-align: right }
th:first-child, td:first-child { text-align: left }
.notice { background: #fdf1d8; padding: .5rem 1rem; border-radius: .3rem }
svg { max-width: 100%; height: auto }
"""

BEFORE, AFTER = "#b3541e", "#1f6feb"

Rows = list[list[str]]


def write_page(path: Path, name: str, calibration: Calibration, report: dict[str, Any]) -> None:
    """Write the page of `calibration.report.fit`'s report; raise `OutputError`."""
    checked = report["cross_checked"]
    parts = [_head(report)]
    if checked is None:
        parts.append("<p>The patients are too few to leave some out: nothing was checked.</p>")
    else:
        parts += [
            "<h2>Reliability</h2>",
            _table(["unseen patients", "before", "mean of frames", "after"], _reliability(checked)),
            _explain_chance(checked),
            _draw_diagrams(checked),
            "<h2>The running number</h2>",
            _table(["frames used", "exams", "right", "said", "ECE"], _running(checked)),
            "<h2>Prediction sets</h2>",
            _table(["class", "exams", "coverage", "mean size", "threshold"], _sets(report)),
            *_describe_alarm(report, calibration),
        ]
    try:
        path.write_text(_wrap(name, "\n".join(parts)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; free some space") from error


def _wrap(name: str, body: str) -> str:
    title = html.escape(f"Calibration of {name}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p class="notice">{NOTICE}</p>\n'
        f"{body}\n</body></html>\n"
    )


def _head(report: dict[str, Any]) -> str:
    checked = report["cross_checked"]
    how = (
        ""
        if checked is None
        else f" Every figure below is of patients left out of the fit ({checked['folds']} folds; "
        f"shares of exams over {checked['repeats']} deals), with 95 % intervals."
    )
    fitted_on = html.escape(f"{report['patients']} patients: {report['fitted_on']}")
    return f"<p>Fitted on {fitted_on}. Frames: {report['method']} scaling.{how}</p>"


def _table(heads: list[str], rows: Rows) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return f"<table>{line(heads, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _value(found: dict[str, Any], name: str, percent: bool = False) -> str:
    """Return `0.021 (0.010 to 0.044)`, or the same in percent."""
    low, high = found[f"{name}_95"]
    if percent:
        return f"{found[name]:.1%} ({low:.1%} to {high:.1%})"
    return f"{found[name]:.3f} ({low:.3f} to {high:.3f})"


def _reliability(checked: dict[str, Any]) -> Rows:
    names = {"ece": "ECE", "adaptive_ece": "adaptive ECE", "brier": "Brier", "nll": "NLL"}
    rows = []
    for level in ("frames", "exams"):
        found = checked[level]
        for key, title in names.items():
            middle = _value(found["mean"], key) if "mean" in found else ""
            before, after = _value(found["before"], key), _value(found["after"], key)
            rows.append([f"{level}: {title}", before, middle, after])
    return rows


def _explain_chance(checked: dict[str, Any]) -> str:
    found = checked["exams"]["expected_ece"]
    return (
        f"<p>Were the exam probabilities exactly right, chance alone would show an ECE of "
        f"{found['mean']:.3f} on so many exams, and 95 % of the time less than "
        f"{found['p95']:.3f}. Below, the bars of frames take each for independent, and are too "
        "short.</p>"
    )


def _running(checked: dict[str, Any]) -> Rows:
    return [
        [
            *(used, f"{each['count']}", f"{each['accuracy']:.1%}", f"{each['confidence']:.1%}"),
            _value(each, "ece"),
        ]
        for used, each in checked["running"].items()
    ]


def _sets(report: dict[str, Any]) -> Rows:
    found = report["cross_checked"]["sets"]
    rows = [_set_row("all", found, "")]
    for label, each in found["by_class"].items():
        own = report["classes"][label]["own_threshold"]
        rows.append(_set_row(label, each, "its own" if own else "of all classes"))
    return rows


def _set_row(label: str, found: dict[str, Any], threshold: str) -> list[str]:
    size = f"{found['mean_size']:.2f}"
    exams = str(found["coverage_exams"])
    return [label, exams, _value(found, "coverage", True), size, threshold]


def _describe_alarm(report: dict[str, Any], calibration: Calibration) -> list[str]:
    checked, rule = report["cross_checked"], calibration.alarm
    points = checked["operating_points"]
    if not points:
        return []
    thresholds = [point.threshold for point in calibration.operating_points]
    rows = [
        [
            *(f"{point['wanted_sensitivity']:.0%}", f"{threshold:.3f}"),
            *(_value(point, name, True) for name in ("sensitivity", "specificity")),
        ]
        for point, threshold in zip(points, thresholds, strict=True)
    ]
    heads = ["wanted sensitivity", "1 - p(normal) from", "sensitivity", "specificity"]
    parts = ["<h2>Any anomaly</h2>", _table(heads, rows)]
    if rule is None:
        return [*parts, "<p>No alarm: the normal exams are too few for a promise.</p>"]
    parts.append(
        f"<p>The alarm goes on at {rule.on:.3f}, held for the worth of "
        f"{rule.dwell_frames:g} independent frames, and off below "
        f"{rule.off:.3f}; wanted: a false alarm in at most "
        f"{report['false_alarms_wanted']:.0%} of normal exams as long as these.</p>"
    )
    alarm = checked["alarm"]
    if alarm is not None:
        names = {
            "false_alarms": "normal exams with an alarm at any time",
            "sensitivity": "anomalous exams with an alarm at any time",
            "sensitivity_at_end": "anomalous exams with the alarm on at the end",
        }
        table = [[title, _value(alarm, key, True)] for key, title in names.items()]
        parts.append(_table(["unseen patients", "share"], table))
    return parts


def _draw_diagrams(checked: dict[str, Any]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    frames, exams = figure.subplots(1, 2)
    diagrams = checked["diagrams"]
    _draw(frames, "Frames", diagrams["frames_before"], diagrams["frames_after"], "as trained")
    _draw(exams, "Exams", diagrams["exams_mean"], diagrams["exams_after"], "mean of frames")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    found = text.getvalue()
    return found[found.index("<svg") :]


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
