"""A report as one HTML page that needs nothing else: no script, no font, no other file."""

import base64
import os
import tempfile
from datetime import datetime
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.report.gather import Report, ReportPicture
from neurosono.stream.report.model import list_facts, say_carrier, set_model
from neurosono.stream.report.plots import draw_bars, draw_curve, draw_timeline, name_clock
from neurosono.stream.view.heatmap import Heatmap, paint_heatmap
from neurosono.stream.view.planes import CAUTION, SEEN_FRAMES, STANDARD
from neurosono.stream.view.words import SILENT, STATE_SENTENCES, name_leaning, percentage

LONGEST_PX = 640
"""Of a picture on the page: on A4 it is printed at 180 dots an inch. The record holds it whole."""
JPEG_QUALITY = 88
MOST_INCIDENTS = 40

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

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
}


def render_report(report: Report) -> str:
    """Return the page."""
    exam = report.exam
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    footer = f'@bottom-left{{content:"{NOTICE}  Exam {exam.exam_id}";font:8pt sans-serif}}'
    footer += '@bottom-right{content:counter(page) " / " counter(pages);font:8pt sans-serif}'
    body = (
        _notice(),
        _head(report),
        _result(report),
        _section("Probabilities over the exam", _curve(report), whole=True),
        _section("Kept frames", _pictures(report)),
        _section("Coverage of the planes", _planes(report), whole=True),
        _section("What became of the frames", _frames(report), whole=True),
        _section("Timeline", _timeline(report)),
        _section("The model", set_model(report)),
        '<div class="signed"><div>Reviewed by</div><div>Signature</div><div>Date</div></div>',
        _notice(),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>neurosono exam {escape(exam.exam_id)}</title>"
        f"<style>{style}@page{{{footer}}}</style></head>\n<body>\n{chr(10).join(body)}\n"
        "</body></html>\n"
    )


def write_report(report: Report, out: Path) -> None:
    """Write the page aside and then rename it, private to the user; raises `OutputError`."""
    page = render_report(report)
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=out.parent, prefix=f".{out.name}.", delete=False
        ) as file:
            aside = Path(file.name)
            try:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
                aside.replace(out)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputError(
            f"cannot write {out}: {error.strerror}; choose another --out in a folder that is there"
        ) from error


def _notice() -> str:
    more = "Made by software without medical approval. It replaces no examination and no report."
    return f'<p class="notice">{escape(NOTICE)}<small>{more}</small></p>'


def _head(report: Report) -> str:
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
    label = "Patient label<br>(by hand or sticker: the system does not know the patient)"
    warning = CONDITIONS.get(exam.condition)
    said = f'<p class="warning">{escape(warning)}</p>' if warning else ""
    return (
        f"<header><div><h1>AI assist: exam report</h1>{list_facts(facts)}</div>"
        f'<div class="label">{label}</div></header>{said}'
    )


def _result(report: Report) -> str:
    exam, last = report.exam, report.exam.last
    bars = draw_bars(report)
    if last is not None and last.state in SILENT:
        leaning = name_leaning(exam.labels, last)
        more = "" if leaning is None else f" What there is leans to {leaning}."
        said = f"<p class=result>No result. {escape(STATE_SENTENCES[last.state] + more)}</p>"
        return _section("Result", said, whole=True)
    if last is None or not bars:
        said = "<p class=result>No result: no frame of this exam was judged.</p>"
        return _section("Result", said, whole=True)
    state = f"{str(last.state).capitalize()}: {STATE_SENTENCES[last.state]}"
    chosen = ", ".join(last.prediction_set) or "empty: no class fits well enough"
    said = (
        f'<p class="result">Prediction set: <b>{escape(chosen)}</b></p>'
        f"<p>{escape(state)}</p>{_alarm(report)}{say_carrier(report)}{bars}"
        '<p class="soft">Bar: mean probability over the used frames. Whisker: its 95 % interval, '
        f"with {last.judged} frames counted as {last.effective_frames:.1f} independent ones. "
        "Probabilities are the model's, not the patient's risk.</p>"
    )
    return _section("Result", said, whole=True)


def _alarm(report: Report) -> str:
    last = report.exam.last
    if last is None or not last.alarm:
        return ""
    return "<p><b>&#9650; any-anomaly operating point reached</b> at the exam's last frame.</p>"


def _curve(report: Report) -> str:
    drawn = draw_curve(report)
    if not drawn:
        return '<p class="soft">Too few frames were judged to draw a curve.</p>'
    return drawn + (
        '<p class="soft">Time since the exam began, by the wall clock. Band: 95 % interval of the '
        "class that leads at the end. Shaded: AI off.</p>"
    )


def _pictures(report: Report) -> str:
    if not report.pictures:
        return '<p class="soft">No frame was kept.</p>'
    spec = None if report.manifest is None else report.manifest.preprocessing
    figures = [_picture(each, number, spec) for number, each in enumerate(report.pictures, 1)]
    return (
        '<p class="soft">Left the frame, right where the network looked in that very frame. A '
        "heatmap says what moved the model, not where an anomaly lies.</p>"
        f'<div class="frames">{"".join(figures)}</div>'
    )


def _picture(picture: ReportPicture, number: int, spec: PreprocessingSpec | None) -> str:
    key = picture.key
    pixels = _shrink(key.pixels)
    judged = "not judged by the model"
    if picture.label is not None and picture.probability is not None:
        judged = f"model on this frame: {picture.label} {percentage(picture.probability)}"
    status = f"{key.status} to {key.label}" if key.status == "reassigned" else key.status
    if key.status == "proposed":
        status = "not reviewed"
    return (
        f'<figure><div class="pair"><img alt="Kept frame {number}" src="{_inline(pixels)}">'
        f"{_heat(picture, pixels, number, spec)}</div><figcaption><b>{number}.</b> at "
        f'{name_clock(picture.at_s)} <span class="status">{escape(status)}</span><br>'
        f"{escape(KEPT.get(key.reason, key.reason))}<br>{escape(judged)}</figcaption></figure>"
    )


def _heat(
    picture: ReportPicture, pixels: NDArray[np.uint8], number: int, spec: PreprocessingSpec | None
) -> str:
    heat = picture.key.heat
    if heat is None:
        return '<div class="none">No heatmap was made of this frame.</div>'
    if spec is None:
        words = "A heatmap is recorded; to lay it over the frame, name the bundle with --bundle."
        return f'<div class="none">{words}</div>'
    label = picture.label or ""
    painted = paint_heatmap(
        Heatmap(heat, pixels, label, picture.key.seq, 0.0), (pixels.shape[0], pixels.shape[1]), spec
    )
    return f'<img alt="Heatmap of frame {number}" src="{_inline(painted)}">'


def _planes(report: Report) -> str:
    if report.planes is None:
        return (
            "<p><b>Not assessed.</b> No classifier of standard planes took part in this exam: "
            "whether the thalami, lateral ventricles, cerebellum and spine were seen is for the "
            "reader to judge. Nothing here says that the exam was complete.</p>"
        )
    named = {plane: report.planes.get(plane, 0) for plane in STANDARD}
    rest = sum(report.planes.values()) - sum(named.values())
    facts = {
        f"{plane} ({STANDARD[plane]})": f"{count} used frames"
        if count >= SEEN_FRAMES
        else f"not seen ({count} used frames)"
        for plane, count in named.items()
    }
    words = (
        f"<p><b>The gate that names planes {CAUTION} only:</b> whether a plane was truly shown is "
        "for the reader to judge. Nothing here says that the exam was complete.</p>"
    )
    return words + list_facts(facts | {"any other view": f"{rest} used frames"})


def _frames(report: Report) -> str:
    exam, ending = report.exam, report.exam.ending or {}
    rows = [("Decoded", ending.get("decoded"), "pictures of the video", False)]
    rows.append(("Displayed", ending.get("displayed"), "shown on the screen", True))
    rows.append(("Dropped", ending.get("dropped"), "not shown: a newer one was there", True))
    rows.append(("Sampled", exam.sampled, "looked at for evidence", False))
    rows.append(("Used", exam.used, "judged by the model and counted in the result", True))
    for reason, count in sorted(exam.skipped.items(), key=lambda each: -each[1]):
        rows.append(("Skipped", count, SKIPS.get(reason, reason), True))
    lines = "".join(
        f"<tr{' class=part' if part else ''}><th>{name}</th>"
        f'<td class="n">{"not known" if count is None else count}</td><td>{escape(words)}</td></tr>'
        for name, count, words, part in rows
    )
    return f"<table>{lines}</table>"


def _timeline(report: Report) -> str:
    history = report.history
    incidents = history.incidents[:MOST_INCIDENTS]
    rows = "".join(
        f'<tr><td class="n">{name_clock(each.at_s)}</td><td>{escape(each.words)}</td></tr>'
        for each in incidents
    )
    more = len(history.incidents) - len(incidents)
    rest = f'<p class="soft">and {more} more, in the record.</p>' if more else ""
    totals = (
        f"AI off for {history.total_s('ai-off'):.1f} s, no video signal for "
        f"{history.total_s('no-signal'):.1f} s, image frozen for "
        f"{history.total_s('frozen'):.1f} s of {name_clock(history.duration_s)}."
    )
    return f"{draw_timeline(report)}<p>{totals}</p><table>{rows}</table>{rest}"


def _section(title: str, body: str, *, whole: bool = False) -> str:
    """Return a section; `whole` is not broken over two printed pages."""
    kind = ' class="whole"' if whole else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{body}</section>"


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _inline(pixels: NDArray[np.uint8]) -> str:
    _, jpeg = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def _name_local(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns / 1e9).astimezone():%d %b %Y, %H:%M:%S (UTC%z)}"
