"""The report as a PDF inside a DICOM object (PS3.3 A.45.1), for whoever reads and prints.

It says what the page of `stream.report.page` says, out of the same words and drawings, in fonts
that it carries along. No patient is named on it: the object that it travels in does that.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage
from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    Image,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.pages.drawing import Drawing, Shape
from neurosono.stream.report.gather import Report
from neurosono.stream.report.page import describe_page
from neurosono.stream.study.document import SERIES
from neurosono.stream.study.pictures import Pictures, begin_object

FACE, BOLD = "Vera", "VeraBd"
"""Bitstream Vera, which travels inside the PDF; it is free for every use."""
INK, SOFT, WARN = HexColor("#15191d"), HexColor("#4a525a"), HexColor("#8a3b00")
MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
PICTURE_WIDTH = (WIDTH - 12) / 2
TITLE = "neurosono: AI assist, exam report"


def wrap_page(report: Report, pictures: Pictures, revision: str) -> Dataset:
    """Return the object that holds the PDF."""
    dataset = begin_object(report, pictures.identity, revision, "page", EncapsulatedPDFStorage)
    dataset.Modality = "DOC"
    dataset.ConversionType = "SYN"
    dataset.SeriesNumber = SERIES["page"]
    dataset.SeriesDescription = f"neurosono report. {NOTICE}"[:64]
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = TITLE
    dataset.AcquisitionDateTime = f"{dataset.ContentDate}{dataset.ContentTime}"
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    page = draw_page(report)
    dataset.EncapsulatedDocumentLength = len(page)
    dataset.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
    return dataset


def draw_page(report: Report) -> bytes:
    """Return the PDF; the same report gives the same bytes."""
    _load_fonts()
    told, out = describe_page(report), io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=TITLE,
        author="neurosono",
        subject=NOTICE,
        invariant=True,
    )

    def foot(canvas: Canvas, _: object) -> None:
        canvas.setFont(BOLD, 8)
        canvas.setFillColor(WARN)
        canvas.drawString(MARGIN, 10 * mm, f"{NOTICE}  Exam {report.exam.exam_id}")
        canvas.setFillColor(SOFT)
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, str(canvas.getPageNumber()))

    document.build(_tell(report, told), onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


@cache
def _load_fonts() -> None:
    for name in (FACE, BOLD):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))


def _tell(report: Report, told: Mapping[str, Any]) -> list[Flowable]:
    return [
        _words("AI assist: exam report", size=16, face=BOLD),
        _words(NOTICE, size=12, face=BOLD, ink=WARN),
        _words(
            "Made by software without medical approval. It replaces no examination and no report.",
            ink=WARN,
        ),
        _facts(told["head"]),
        *([_words(told["condition"], ink=WARN)] if told["condition"] else []),
        *_tell_result(report, told),
        *_tell_pictures(told["pictures"]),
        *_tell_readings(told["readings"]),
        *_tell_frames(report, told),
        *_tell_model(report, told["model"]),
    ]


def _tell_result(report: Report, told: Mapping[str, Any]) -> list[Flowable]:
    last, lines = report.exam.last, [_head("Result")]
    if told["nothing_used"] or told["silent"] or last is None or told["bars"] is None:
        why = told["nothing_used"] or told["state"] or "No frame of this exam was judged."
        return [KeepTogether([*lines, _words("No result.", face=BOLD), _words(why)])]
    inside = ", ".join(last.prediction_set) or "empty: no class fits well enough"
    lines += [_words(f"Prediction set: {inside}", face=BOLD), _words(told["state"])]
    if last.alarm:
        lines.append(_words("Any-anomaly operating point reached at the exam's last frame."))
    if last.carried is not None:
        lines.append(_words(f"Carried by: {last.carried.describe(last.used)}."))
    lines += [
        Drawn(told["bars"]),
        _words(
            "Bar: the exam's calibrated probability. Whisker: its 95 % interval. There are "
            f"{last.judged} frames counted as {last.effective_frames:.1f} independent ones. "
            "Probabilities are the model's, not the patient's risk.",
            ink=SOFT,
        ),
    ]
    curve = [_head("Probabilities over the exam")]
    curve.append(
        _words("Too few frames were judged to draw a curve.")
        if told["curve"] is None
        else Drawn(told["curve"])
    )
    return [KeepTogether(lines), KeepTogether(curve)]


def _tell_pictures(pictures: Sequence[Mapping[str, Any]]) -> list[Flowable]:
    lines: list[Flowable] = [_head("Kept frames")]
    if not pictures:
        return [*lines, _words("No frame was kept.")]
    lines.append(
        _words(
            "Left the frame, right where the network looked in that very frame. A heatmap says "
            "what moved the model, not where an anomaly lies.",
            ink=SOFT,
        )
    )
    for number, each in enumerate(pictures, 1):
        right = _words(each["no_heatmap"]) if each["heatmap"] is None else _picture(each["heatmap"])
        pair = Table([[_picture(each["picture"]), right]], colWidths=[PICTURE_WIDTH + 6] * 2)
        pair.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP")]))
        words = f"{number}. at {each['at']}, {each['status']}. {each['reason']}. {each['judged']}"
        lines.append(KeepTogether([pair, _words(words), Spacer(0, 6)]))
    return lines


def _tell_readings(readings: Mapping[str, Mapping[str, Any]]) -> list[Flowable]:
    lines: list[Flowable] = []
    for name, reading in readings.items():
        frames, told = reading["frames"], reading["told"]
        marks = ", ".join(
            f"{mark.name}{' *' if mark.unproven else ''} "
            f"({mark.frames}{'' if mark.seen else ', not seen'})"
            for mark in told.marks
        )
        count = f"{frames['used']} of {frames['sampled']} sampled frames were read. "
        group = [_head(f"Read beside it: {name}")]
        group.append(_words(f"{count}Digest {reading['sha256']}.", ink=SOFT))
        group += [_words(line) for line in told.lines]
        if marks:
            group += [
                _words(marks),
                _words(
                    "Number of frames in brackets; seen from three on. * learnt on phantoms: no "
                    "real picture vouches for it.",
                    ink=SOFT,
                ),
            ]
        lines.append(KeepTogether(group))
    return lines


def _tell_frames(report: Report, told: Mapping[str, Any]) -> list[Flowable]:
    rows = [
        [("  " if part else "") + name, "not known" if count is None else str(count), words]
        for name, count, words, part in told["frames"]
    ]
    table = Table(rows, colWidths=[WIDTH * 0.3, WIDTH * 0.14, WIDTH * 0.56])
    table.setStyle(TableStyle([("FONT", (0, 0), (-1, -1), FACE, 8), ("ALIGN", (1, 0), (1, -1), "RIGHT")]))  # fmt: skip  # noqa: E501
    lines: list[Flowable] = [KeepTogether([_head("What became of the frames"), table])]
    history = report.history
    totals = ", ".join(
        f"{words} for {history.total_s(what):.1f} s"
        for what, words in (
            ("ai-off", "AI off"),
            ("no-signal", "no video signal"),
            ("frozen", "image frozen"),
        )
    )
    clock = told["name_clock"]
    lines.append(KeepTogether([_head("Timeline"), Drawn(told["timeline"]), _words(f"{totals}.")]))
    most = told["most_incidents"]
    lines += [_words(f"{clock(each.at_s)}  {each.words}") for each in history.incidents[:most]]
    if len(history.incidents) > most:
        lines.append(_words(f"and {len(history.incidents) - most} more, in the record."))
    return lines


def _tell_model(report: Report, model: Any) -> list[Flowable]:
    lines: list[Flowable] = [_head("The model"), _facts(model.facts)]
    if report.manifest is None:
        lines.append(
            _words(
                "The bundle that judged this exam was not at hand when the report was made, so its "
                "model card is not here.",
                ink=WARN,
            )
        )
    else:
        lines += [_words("Limits", face=BOLD), *(_words(limit) for limit in model.limits)]
    return lines


class Drawn(Flowable):  # type: ignore[misc]  # the library has no annotations
    """A drawing of a page, set into the PDF as lines and letters."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__()
        self._drawing, self._scale = drawing, WIDTH / drawing.width_px
        self.width, self.height = WIDTH, drawing.height_px * self._scale

    def draw(self) -> None:
        """Draw every shape; a drawing counts from above, a PDF from below."""
        canvas: Canvas = self.canv
        canvas.translate(0, self.height)
        canvas.scale(self._scale, self._scale)
        for shape in self._drawing.shapes:
            canvas.saveState()
            _draw_shape(canvas, shape)
            canvas.restoreState()


def _draw_shape(canvas: Canvas, shape: Shape) -> None:
    said = shape.attributes
    if (stroke := said.get("stroke", "none")) != "none":
        canvas.setStrokeColor(HexColor(stroke))
        canvas.setLineWidth(float(said.get("stroke-width", 1)))
    if said.get("stroke-dasharray"):
        canvas.setDash([float(step) for step in said["stroke-dasharray"].split()])
    if (fill := said.get("fill", "none")) != "none":
        canvas.setFillColor(HexColor(fill))
        canvas.setFillAlpha(float(said.get("fill-opacity", 1)))
    match shape.tag:
        case "line":
            x1, y1, x2, y2 = (float(said[each]) for each in ("x1", "y1", "x2", "y2"))
            canvas.line(x1, -y1, x2, -y2)
        case "rect":
            x, y, w, h = (float(said[each]) for each in ("x", "y", "width", "height"))
            canvas.rect(x, -y - h, w, h, stroke=0, fill=1)
        case "polyline" | "polygon":
            points = [pair.split(",") for pair in said["points"].split()]
            path = canvas.beginPath()
            for number, (x_said, y_said) in enumerate(points):
                (path.lineTo if number else path.moveTo)(float(x_said), -float(y_said))
            closed = shape.tag == "polygon"
            canvas.drawPath(path, stroke=not closed, fill=closed)
        case "text":
            heavy = said.get("font-weight") == "600"
            canvas.setFont(BOLD if heavy else FACE, 11)
            write = {
                "start": canvas.drawString,
                "middle": canvas.drawCentredString,
                "end": canvas.drawRightString,
            }[said["text-anchor"]]
            write(float(said["x"]), -float(said["y"]), shape.words)


def _head(words: str) -> Paragraph:
    return _words(words, size=12, face=BOLD, above=10)


def _words(
    words: str, *, size: int = 9, face: str = FACE, ink: HexColor = INK, above: int = 2
) -> Paragraph:
    style = ParagraphStyle(
        "own", fontName=face, fontSize=size, leading=size * 1.35, textColor=ink,
        spaceBefore=above, spaceAfter=2,
    )  # fmt: skip
    return Paragraph(escape(words), style)


def _facts(found: Mapping[str, Any]) -> Table:
    rows = [[_words(name, ink=SOFT), _words(str(value))] for name, value in found.items()]
    table = Table(rows, colWidths=[WIDTH * 0.22, WIDTH * 0.78])
    tight = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("BACKGROUND", (0, 0), (-1, -1), white)]
    tight += [(f"{side}PADDING", (0, 0), (-1, -1), 1) for side in ("TOP", "BOTTOM", "LEFT")]
    table.setStyle(TableStyle(tight))
    return table


def _picture(address: str) -> Image:
    """Return a picture out of the address that holds it."""
    jpeg = io.BytesIO(base64.b64decode(address.partition(",")[2]))
    return Image(jpeg, width=PICTURE_WIDTH, height=PICTURE_WIDTH * 3 / 4, kind="proportional")
