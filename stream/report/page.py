"""A report as one HTML page that needs nothing else: no script, no font, no other file."""

from datetime import datetime
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.files import write_whole
from neurosono.engine.kinds import tell_recorded
from neurosono.engine.pages.render import inline_jpeg, render_page
from neurosono.stream.pictures.picture import shrink
from neurosono.stream.report.gather import Report, ReportPicture
from neurosono.stream.report.model import describe_model
from neurosono.stream.report.plots import draw_bars, draw_curve, draw_timeline, name_clock
from neurosono.stream.view.heatmap import Heatmap, paint_heatmap
from neurosono.stream.view.planes import CAUTION, SEEN_FRAMES, STANDARD
from neurosono.stream.view.words import (
    SILENT,
    STATE_SENTENCES,
    name_leaning,
    percentage,
    tell_unused,
)

TEMPLATE = Path(__file__).with_name("page.html")
LONGEST_PX = 640
"""Of a picture on the page: on A4 it is printed at 180 dots an inch. The record holds it whole."""
JPEG_QUALITY = 88
MOST_INCIDENTS = 40

CONDITIONS = {
    "running": "This exam is still running: the report holds what was recorded until now.",
    "interrupted": "The exam did not come to its end: its process was killed or lost power. "
    "What was recorded until then is here; what only its end would know is marked as not known.",
    "stopped": "The exam was stopped before its end, by the user or by an error.",
}
SKIPS = {
    "frozen": "the scanner's image was frozen",
    "near-duplicate": "all but the same picture as the last one used",
    "doppler": "Doppler colours over the picture",
    "spectrum": "a spectral or M-mode trace",
    "not-ultrasound": "no ultrasound picture",
    "not-head-or-spine": "taken for no view of a fetal head or spine",
    "unfamiliar": "unlike anything that the gate was trained on",
    "unfamiliar-to-model": "unlike the pictures that the model was trained on",
    "other-weeks": "the fetus, as told, was not of the weeks that the bundle holds for",
    "damaged": "data were lost on the way to us",
    "layout-change": "the scanner's layout had just changed",
    "superseded": "a newer frame took its place before the engine was free",
    "engine-off": "no engine was there to judge it",
}
KEPT = {
    "key": "kept by a person",
    "freeze": "the image was frozen on the scanner",
    "quality": "proposed: best picture until then",
    "evidence": "proposed: strongest evidence for its class",
    "plane": "proposed: a view not seen before",
    "finding": "proposed: the best frame of a finding pattern, which is no diagnosis",
}


def render_report(report: Report) -> str:
    """Return the page."""
    return render_page(TEMPLATE, **describe_page(report))


def describe_page(report: Report) -> dict[str, Any]:
    """Return all that stands on the page, by the names that its template has for it."""
    last, manifest = report.exam.last, report.manifest
    spec = None if manifest is None else manifest.preprocessing
    silent = last is not None and last.state in SILENT
    return {
        "report": report,
        "head": _describe_exam(report),
        "condition": CONDITIONS.get(report.exam.condition),
        "nothing_used": _tell_unused(report),
        "state": _describe_state(report),
        "silent": silent,
        "bars": draw_bars(report),
        "curve": draw_curve(report),
        "pictures": [_describe_picture(each, spec, silent=silent) for each in report.pictures],
        "planes": _describe_planes(report),
        "readings": _describe_readings(report),
        "caution": CAUTION,
        "frames": _count_frames(report),
        "timeline": draw_timeline(report),
        "name_clock": name_clock,
        "most_incidents": MOST_INCIDENTS,
        "model": describe_model(report),
    }


def _describe_state(report: Report) -> str | None:
    last = report.exam.last
    if last is None:
        return None
    leaning = name_leaning(report.exam.labels, last)
    more = "" if leaning is None else f" What there is leans to {leaning}."
    return f"{str(last.state).capitalize()}: {STATE_SENTENCES[last.state]}{more}"


def _tell_unused(report: Report) -> str | None:
    """Return why nothing of the exam was judged, or None where something was."""
    last = report.exam.last
    return None if last is None else tell_unused(last.used, last.skipped)


def _describe_readings(report: Report) -> dict[str, dict[str, Any]]:
    """Return of each bundle beside the first what it told, and on how many frames that rests."""
    found = {}
    for name, reading in report.readings.items():
        told = tell_recorded(reading["kind"], reading)
        bundle = reading["bundle"]
        found[name] = {"told": told, "frames": reading["frames"], "sha256": bundle["sha256"]}
    return found


def write_report(report: Report, out: Path) -> None:
    """Write the page aside and then rename it, private to the user; raises `OutputError`."""
    advice = "choose another --out in a folder that is there"
    write_whole(out, render_report(report), mode=0o600, advice=advice)


def _describe_exam(report: Report) -> dict[str, str]:
    exam, engine = report.exam, report.engine
    made = [str(engine[name]) for name in ("backend", "precision") if engine.get(name)]
    members = f", {engine['members']} members" if engine.get("members") else ""
    facts = {
        "Exam": exam.exam_id,
        "Begun": _name_local(exam.begun_wall_ns),
        "Ended": "-" if exam.ended_wall_ns is None else _name_local(exam.ended_wall_ns),
        "Duration": name_clock(report.history.duration_s),
        "Engine": f"{' '.join(made)}{members}" if made else "not recorded",
        "Release": f"neurosono {exam.about.get('release', '(not recorded)')}",
        "Report made": _name_local(report.written_wall_ns),
    }
    if report.manifest is not None:
        use = str(report.manifest.card.get("intended_use", "not stated"))
        facts["Model"] = f"{report.manifest.name}. Intended use: {use}"
    return facts


def _describe_picture(
    picture: ReportPicture, spec: PreprocessingSpec | None, *, silent: bool
) -> dict[str, Any]:
    """Describe a kept frame; where the exam is `silent`, without the figure of the frame."""
    key = picture.key
    pixels = shrink(key.pixels, LONGEST_PX)
    judged = "not judged by the model"
    if picture.label is not None and picture.probability is not None:
        figure = "" if silent else f" {percentage(picture.probability)}"
        judged = f"model on this frame: {picture.label}{figure}"
    status = f"{key.status} to {key.label}" if key.status == "reassigned" else key.status
    no_heatmap = "No heatmap was made of this frame."
    if key.heat is not None:
        no_heatmap = (
            "A heatmap is recorded; to lay it over the frame, name the bundle with --bundle."
        )
    return {
        "picture": inline_jpeg(pixels, JPEG_QUALITY),
        "heatmap": _paint_heatmap(picture, pixels, spec),
        "no_heatmap": no_heatmap,
        "at": name_clock(picture.at_s),
        "status": "not reviewed" if key.status == "proposed" else status,
        "reason": KEPT.get(key.reason, key.reason),
        "judged": judged,
    }


def _paint_heatmap(
    picture: ReportPicture, pixels: Pixels, spec: PreprocessingSpec | None
) -> str | None:
    heat = picture.key.heat
    if heat is None or spec is None:
        return None
    own = Heatmap(heat, pixels, picture.label or "", picture.key.seq, 0.0)
    return inline_jpeg(paint_heatmap(own, (pixels.shape[0], pixels.shape[1]), spec), JPEG_QUALITY)


def _describe_planes(report: Report) -> dict[str, str] | None:
    if report.planes is None:
        return None
    named = {plane: report.planes.get(plane, 0) for plane in STANDARD}
    rest = sum(report.planes.values()) - sum(named.values())
    facts = {
        f"{plane} ({STANDARD[plane]})": f"{count} used frames"
        if count >= SEEN_FRAMES
        else f"not seen ({count} used frames)"
        for plane, count in named.items()
    }
    return facts | {"any other view": f"{rest} used frames"}


def _count_frames(report: Report) -> list[tuple[str, int | None, str, bool]]:
    """Return what, how many (None: not known), why, and whether it is a part of the one before."""
    exam, ending = report.exam, report.exam.ending or {}
    skipped = sorted(exam.skipped.items(), key=lambda each: -each[1])
    return [
        ("Decoded", ending.get("decoded"), "pictures of the video", False),
        ("Displayed", ending.get("displayed"), "shown on the screen", True),
        ("Dropped", ending.get("dropped"), "not shown: a newer one was there", True),
        ("Sampled", exam.sampled, "looked at for evidence", False),
        ("Used", exam.used, "judged by the model and counted in the result", True),
        *(("Skipped", count, SKIPS.get(reason, reason), True) for reason, count in skipped),
    ]


def _name_local(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns / 1e9).astimezone():%d %b %Y, %H:%M:%S (UTC%z)}"
