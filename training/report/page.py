"""The report as one HTML page that works offline; every number on it stands in `report.json`."""

from pathlib import Path
from typing import Any

from neurosono.engine.pages.render import render_page as render
from neurosono.training.report import plots
from neurosono.training.report.pictures import FramePictures
from neurosono.training.report.words import say_p, say_percent, say_published

TEMPLATE = Path(__file__).with_name("page.html")

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
SPLITS = {
    "trimester": ("By trimester (completed weeks)", "without gestational weeks"),
    "twenty_weeks": ("By the 20-week cut", "without gestational weeks"),
    "site": ("By site", "without a site"),
}
TESTS = {
    "correctness_p": "right and wrong exams, Fisher's exact test",
    "probability_p": "probability given to the truth",
}
WHO = {
    "reader": "reader alone",
    "system": "system alone",
    "either": "either is right (upper bound)",
    "second_read": "system as second read",
}


def render_page(report: dict[str, Any], pictures: dict[int, FramePictures]) -> str:
    """Return the page; `pictures` of the worst exams' frames by row of the cache, maybe none."""
    return render(
        TEMPLATE,
        report=report,
        shown=report["calibrated"] or report["raw"],
        pictures=pictures,
        head=_describe_head(report),
        splits=[_describe_split(*split) for split in report["subgroups"].items()],
        measures=MEASURES,
        class_measures=CLASS_MEASURES,
        levels=LEVELS,
        who=WHO,
        plots=plots,
        say_p=say_p,
        say_percent=say_percent,
        say_published=say_published,
    )


def _describe_head(report: dict[str, Any]) -> dict[str, str]:
    bundle, data = report["bundle"], report["data"]
    classes = ", ".join(f"{label} {count}" for label, count in data["patients_by_class"].items())
    return {
        "Judged": report["scope"],
        "Patients": f"{data['patients']} ({classes})",
        "Exams, frames": f"{data['exams']} exams, {data['frames']} frames",
        "Calibration": bundle["calibration"],
        "Bundle": f"{bundle['name']}, {bundle['members']} members, {bundle['digest'][:12]}",
        "What it is": bundle["what"],
        "Intended use": bundle["intended_use"],
    }


def _describe_split(name: str, split: dict[str, Any]) -> dict[str, Any]:
    title, without = SPLITS[name]
    groups, left_out = split["groups"], split["exams_without"]
    return {
        "name": name,
        "title": title,
        "groups": groups,
        "rest": f" {left_out} exams {without} are in no group." if left_out else "",
        "tests": _describe_tests(split["tests"], len(groups)),
    }


def _describe_tests(tests: dict[str, float] | None, groups: int) -> str:
    if tests is None:
        return "One group only: nothing to compare."
    kind = "Mann and Whitney" if groups == 2 else "Kruskal and Wallis"
    said = [
        f"{TESTS[name]}{f' ({kind})' if name == 'probability_p' else ''}: {say_p(value)}"
        for name, value in tests.items()
    ]
    return f"Between the groups: {'; '.join(said)}."
