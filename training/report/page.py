"""The report as one HTML page that works offline; every number on it stands in `report.json`."""

from pathlib import Path
from typing import Any

from neurosono.training.report import plots
from neurosono.training.report.markup import (
    Raw,
    set_bounds,
    set_facts,
    set_notice,
    set_page,
    set_plots,
    set_published,
    set_section,
    set_share,
    set_soft,
    set_table,
)
from neurosono.training.report.page_details import (
    set_optimism,
    set_readers,
    set_subgroups,
    set_worst,
)
from neurosono.training.report.pictures import FramePictures

STYLE = Path(__file__).with_name("report.css")

MEASURES = {
    "accuracy": "accuracy",
    "macro_precision": "precision, macro",
    "macro_recall": "recall, macro",
    "macro_f1": "F1, macro",
    "macro_auroc": "AUROC, macro",
    "micro_auroc": "AUROC, micro",
    "macro_average_precision": "average precision, macro",
    "micro_average_precision": "average precision, micro",
}
CLASS_MEASURES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
}
LEVELS = {"exams": "Exams", "frames": "Frames"}


def render_page(report: dict[str, Any], pictures: dict[int, FramePictures]) -> str:
    """Return the page; `pictures` of the worst exams' frames by row of the cache, maybe none."""
    shown = report["calibrated"] or report["raw"]
    sections = [
        set_notice(),
        _head(report),
        _set_published(report, shown),
        *(_level(report, shown[level], name) for level, name in LEVELS.items()),
        _set_calibration(report),
        set_optimism(report["optimism"]),
        set_subgroups(report["subgroups"], report["published"]),
        set_readers(report["readers"], report["labels"]),
        set_worst(report["worst"], pictures),
        _set_method(report),
        set_notice(),
    ]
    title = f"neurosono: report of {report['bundle']['name']}"
    return set_page(title, STYLE.read_text(encoding="utf-8"), filter(None, sections))


def _head(report: dict[str, Any]) -> str:
    bundle, data = report["bundle"], report["data"]
    classes = ", ".join(f"{label} {count}" for label, count in data["patients_by_class"].items())
    facts = {
        "Judged": report["scope"],
        "Patients": f"{data['patients']} ({classes})",
        "Exams, frames": f"{data['exams']} exams, {data['frames']} frames",
        "Calibration": bundle["calibration"],
        "Bundle": f"{bundle['name']}, {bundle['members']} members, {bundle['digest'][:12]}",
        "What it is": bundle["what"],
        "Intended use": bundle["intended_use"],
    }
    limits = "".join(f"<li>{_escape(limit)}</li>" for limit in bundle["limits"])
    listed = f"<h3>Limits</h3><ul>{limits}</ul>" if limits else ""
    return f"<h1>How well {_escape(bundle['name'])} judges</h1>{set_facts(facts)}{listed}"


def _set_published(report: dict[str, Any], shown: dict[str, Any]) -> str:
    paper = report["published"]
    four, five = paper["four_classes"], paper["five_classes"]
    heads = (
        "",
        "exams, here",
        "exams, paper, 5 classes",
        "exams, paper, 4 anomalies",
        "frames, here",
        "frames, paper, 4 anomalies",
    )
    rows = [
        (
            name,
            set_share(shown["exams"][key]),
            set_published(five["exams"].get(key)),
            set_published(four["exams"].get(key)),
            set_share(shown["frames"][key]),
            set_published(four["frames"].get(key)),
        )
        for key, name in MEASURES.items()
    ]
    micro, macro = (five["frames"][key] for key in ("micro_auroc", "macro_auroc"))
    also = (
        f"With five classes the paper gives AUROC of frames as {micro:.2f} micro and {macro:.2f} "
        "macro."
    )
    return set_section(
        "In short, beside the paper",
        set_table(heads, rows),
        set_soft(f"Small: 95 % interval over patients. {paper['caveat']} {also}"),
        set_soft(f"Published: {paper['citation']}"),
    )


def _level(report: dict[str, Any], level: dict[str, Any], name: str) -> str:
    labels = report["labels"]
    rows = [[label, *(set_share(level[key][label]) for key in CLASS_MEASURES)] for label in labels]
    heads = ["class", *CLASS_MEASURES.values()]
    more = ""
    if name == "Exams":
        heads.append("recall, Wilson")
        for row in rows:
            row.append(set_bounds(level["recall_wilson"][row[0]]))
        more = (
            f"<p>{level['right']} of {level['count']} exams right. Wilson's 95 % interval of the "
            f"accuracy: {set_bounds(level['accuracy_wilson'])} %.</p>"
        )
    return set_section(
        name,
        more,
        set_table(heads, rows),
        '<div class="one">',
        plots.draw_confusion(level, labels, f"{name}: truth and answer"),
        "</div>",
        set_plots(
            plots.draw_precision_recall(level, labels, f"{name}: precision and recall"),
            plots.draw_roc(level, labels, f"{name}: ROC"),
        ),
    )


def _set_calibration(report: dict[str, Any]) -> str:
    if report["calibrated"] is None:
        return ""
    raw, calibrated = report["raw"], report["calibrated"]
    rows = [
        (
            name,
            *(set_share(each[level][key]) for level in LEVELS for each in (raw, calibrated)),
        )
        for key, name in MEASURES.items()
    ]
    heads = ("", "exams, raw", "exams, calibrated", "frames, raw", "frames, calibrated")
    return set_section(
        "Raw and calibrated",
        set_table(heads, rows),
        set_soft(
            f"Calibration: {report['bundle']['calibration']}. The other sections show calibrated "
            "probabilities. How well they mean what they say is in calibration.json."
        ),
    )


def _set_method(report: dict[str, Any]) -> str:
    facts = {
        "Exam": "the mean of its frames' probabilities; its answer is the likeliest class",
        "Intervals": f"95 %, from {report['resamples']} draws of whole patients with replacement "
        "(percentiles); draws in which a measure is undefined are left out",
        "At 100 %": "such an interval shrinks to a point; Wilson's, where given, does not",
        "Macro": "mean over the classes that occur; a class never answered has precision 0",
        "Micro": "all one-against-rest decisions of all classes together",
        "Average precision": "sum of precision times step in recall, not interpolated",
        "Numbers": Raw("every one stands in <code>report.json</code> beside this page"),
    }
    return set_section("How it was measured", set_facts(facts))


def _escape(text: str) -> str:
    from html import escape

    return escape(str(text))
