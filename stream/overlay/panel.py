"""The panel beside the picture: state of the AI, classes, counts, and where the network looked."""

from collections.abc import Hashable, Sequence

import cv2

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.result import ExamState
from neurosono.stream.overlay.bars import ClassBars, readable
from neurosono.stream.overlay.layout import Box, OverlayLayout
from neurosono.stream.overlay.typeface import BOLD, REGULAR, SEMIBOLD, Align, Lettered, Typeface
from neurosono.stream.view import palette
from neurosono.stream.view.heatmap import Heatmap, paint_heatmap
from neurosono.stream.view.palette import Colour
from neurosono.stream.view.state import AiState, OverlayState
from neurosono.stream.view.words import SKIP_WORDS

_AI_COLOURS: dict[AiState, tuple[Colour, Colour]] = {
    AiState.ON: (palette.SKY_DEEP, palette.SKY_PALE),
    AiState.OFF: (palette.VERMILLION_DEEP, palette.WHITE),
    AiState.STARTING: (palette.SLATE, palette.TEXT),
    AiState.NO_SIGNAL: (palette.AMBER, palette.INK),
}
"""Ground and lettering. The AI being on is no good news about the patient, hence not green."""
_EXAM_COLOURS = {
    ExamState.COLLECTING: palette.TEXT_SOFT,
    ExamState.AMBIGUOUS: palette.SAND,
    ExamState.STABLE: palette.SKY_PALE,
    ExamState.UNFAMILIAR: palette.SAND,
}
UNLIKE = "pictures unlike those it was trained on"
"""What stands below the AI's state instead of an answer; it fits on a line of the panel."""
RECORD_OFF = "RECORD OFF"
"""What stands in the place of the product's name while what is shown is not recorded."""
_COUNTS = ("used", "sampled", "decoded", "dropped")


def clock(pts_s: float) -> str:
    """Return seconds as mm:ss.s, cut off rather than rounded so that it never reads 60.0."""
    tenths = int(pts_s * 10 + 1e-6)
    return f"{tenths // 600:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


class Panel(Lettered):
    """Draws the panel onto one canvas, on which nobody else draws where the panel stands.

    What never changes is drawn once; the rest is drawn anew only where it shows something else than
    the picture before did: most of it stays for seconds.
    """

    def __init__(
        self,
        canvas: Pixels,
        layout: OverlayLayout,
        labels: Sequence[str],
        spec: PreprocessingSpec,
        heatmap_life_s: float,
        type_: Typeface,
    ) -> None:
        """`canvas` is `(H, W, 3)` BGR uint8, as large as `layout` says."""
        self._canvas = canvas
        self._layout = layout
        self._inside = layout.inside
        self._unit = layout.unit_px
        self._places = {label: place for place, label in enumerate(labels)}
        self._spec = spec
        self._life_s = heatmap_life_s
        self._type = type_
        self._bars = ClassBars(layout, labels, type_)
        self._painted: tuple[Heatmap, Pixels] | None = None
        self._drawn: dict[Box, Hashable] = {}
        self._number_boxes = self._count_boxes()
        panel = layout.panel
        self._paint_background()
        self._background = canvas[panel.y : panel.bottom, panel.x : panel.right].copy()

    def draw(self, state: OverlayState) -> None:
        """Draw the whole panel."""
        result = state.shown_result
        if self._bares(self._inside.header, shown := (clock(state.pts_s), bool(state.unrecorded))):
            self._draw_header(*shown)
        self._draw_ai(state)
        self._draw_exam_state(None if result is None else result.exam.state)
        for place, row in enumerate(self._bars.rows(None if result is None else result.exam)):
            if self._bares(self._bars.place(place), row):
                self._bars.draw(self._canvas, place, row)
        self._draw_counts(state)
        self._draw_shown(state)
        self._draw_heatmap(state)

    def _draw_header(self, time: str, unrecorded: bool) -> None:
        header, unit = self._inside.header, self._unit
        if unrecorded:
            Box(header.x, header.y, round(6.6 * unit), header.h).fill(
                self._canvas, palette.VERMILLION_DEEP
            )
            words = Box(header.x + round(0.4 * unit), header.y, header.w, header.h)
            self._write(words, RECORD_OFF, 0.95, palette.WHITE, BOLD)
        self._write(header, time, 1.0, palette.TEXT, align=Align.RIGHT)

    def _bares(self, box: Box, shows: Hashable) -> bool:
        """Lay `box` bare, unless it `shows` this already; returns whether it did."""
        if box in self._drawn and self._drawn[box] == shows:
            return False
        self._drawn[box] = shows
        left, top = box.x - self._layout.panel.x, box.y - self._layout.panel.y
        bare = self._background[top : top + box.h, left : left + box.w]
        self._canvas[box.y : box.bottom, box.x : box.right] = bare
        return True

    def _paint_background(self) -> None:
        canvas, panel, inside = self._canvas, self._layout.panel, self._inside
        panel.fill(canvas, palette.PANEL)
        Box(panel.x, panel.y, 1, panel.h).fill(canvas, palette.RULE)
        self._write(inside.header, "neurosono", 1.0, palette.TEXT_SOFT, SEMIBOLD)
        self._write(inside.exam, "Exam so far", 0.86, palette.TEXT_SOFT)
        self._write(inside.heading, "Where it looked", 0.86, palette.TEXT_SOFT)
        self._paint_legend()
        for box in (inside.counts, inside.heading):
            Box(box.x, box.y - round(0.18 * self._unit), box.w, 1).fill(canvas, palette.RULE)
        for name, box in zip(_COUNTS, self._number_boxes, strict=True):
            below = Box(box.x, box.bottom, box.w, round(0.85 * self._unit))
            self._write(below, name, 0.72, palette.TEXT_DIM)
        inside.well.fill(canvas, palette.WELL)

    def _paint_legend(self) -> None:
        canvas, box, unit = self._canvas, self._inside.legend, self._unit
        side = round(0.5 * unit)
        middle = box.y + box.h // 2
        Box(box.x, middle - side // 2, side, side).fill(canvas, palette.TEXT_DIM)
        text = Box(box.x + round(0.95 * unit), box.y, box.w, box.h)
        self._write(text, "in prediction set", 0.74, palette.TEXT_DIM)
        words = "95 % interval"
        width = self._type.width(words, 0.74 * unit, REGULAR)
        self._write(box, words, 0.74, palette.TEXT_DIM, align=Align.RIGHT)
        right = box.right - width - round(0.4 * unit)
        left, reach = right - round(1.2 * unit), round(0.25 * unit)
        line = max(1, round(0.09 * unit))
        for start, end in (
            ((left, middle), (right, middle)),
            ((left, middle - reach), (left, middle + reach)),
            ((right, middle - reach), (right, middle + reach)),
        ):
            cv2.line(canvas, start, end, palette.TEXT_DIM, line)

    def _draw_ai(self, state: OverlayState) -> None:
        box, unit = self._inside.ai, self._unit
        on = state.ai is AiState.ON
        said = state.engine if on else state.ai_reason
        result = state.shown_result
        if result is not None and result.exam.carried is not None:
            said = result.exam.carried.sum_up(result.exam.used)
        if result is not None and result.exam.state is ExamState.UNFAMILIAR:
            said = UNLIKE
        if self._bares(box, state.ai):
            ground, ink = _AI_COLOURS[state.ai]
            box.fill(self._canvas, ground)
            self._draw_sign(self._canvas, state.ai, ink)
            words = Box(box.x + round(2.1 * unit), box.y, box.w - round(2.5 * unit), box.h)
            self._write(words, str(state.ai), 1.3, ink, BOLD)
        if self._bares(self._inside.reason, (on, said)):
            colour = palette.TEXT_SOFT if on else palette.TEXT
            self._write(self._inside.reason, said, 0.8, colour)

    def _draw_sign(self, canvas: Pixels, ai: AiState, ink: Colour) -> None:
        """Draw the state as a shape too: disc, cross, ring, bar."""
        box, unit = self._inside.ai, self._unit
        x, y = box.x + round(1.05 * unit), box.y + box.h // 2
        reach, line = round(0.36 * unit), max(2, round(0.18 * unit))
        if ai is AiState.ON:
            cv2.circle(canvas, (x, y), reach, ink, -1, cv2.LINE_AA)
        elif ai is AiState.STARTING:
            cv2.circle(canvas, (x, y), reach, ink, line, cv2.LINE_AA)
        elif ai is AiState.OFF:
            for slope in (-1, 1):
                start, end = (x - reach, y - slope * reach), (x + reach, y + slope * reach)
                cv2.line(canvas, start, end, ink, line, cv2.LINE_AA)
        else:
            cv2.line(canvas, (x - reach, y), (x + reach, y), ink, line, cv2.LINE_AA)

    def _draw_exam_state(self, exam: ExamState | None) -> None:
        box = self._inside.exam
        if not self._bares(box, exam):
            return
        if exam is None:
            text, colour = "no result", palette.TEXT_DIM
        else:
            text, colour = str(exam), _EXAM_COLOURS[exam]
        self._write(box, text, 1.0, colour, SEMIBOLD, Align.RIGHT)

    def _count_boxes(self) -> list[Box]:
        """Return where the numbers stand; their names stand below."""
        box, unit = self._inside.counts, self._unit
        step = box.w / len(_COUNTS)
        width = round(step) - round(0.2 * unit)
        return [
            Box(box.x + round(place * step), box.y, width, round(1.0 * unit))
            for place in range(len(_COUNTS))
        ]

    def _draw_counts(self, state: OverlayState) -> None:
        counts = (
            (state.used, palette.TEXT),
            (state.sampled, palette.TEXT),
            (state.decoded, palette.TEXT_SOFT),
            (state.dropped, palette.SAND if state.dropped else palette.TEXT_SOFT),
        )
        for box, (count, colour) in zip(self._number_boxes, counts, strict=True):
            if self._bares(box, count):
                self._write(box, str(count), 0.92, colour, SEMIBOLD)

    def _draw_shown(self, state: OverlayState) -> None:
        if state.skip_reason is not None:
            text, colour = f"skipped: {SKIP_WORDS[state.skip_reason]}", palette.SAND
        elif state.shown_frame_used:
            text, colour = "used as evidence", palette.SKY_PALE
        else:
            text, colour = "", palette.SKY_PALE
        if self._bares(self._inside.shown, text):
            self._write(self._inside.shown, text, 0.86, colour)

    def _draw_heatmap(self, state: OverlayState) -> None:
        life, heatmap = state.heatmap_life(self._life_s), state.heatmap
        inside, unit = self._inside, self._unit
        if life <= 0.0:
            heatmap = None
        said = ""
        if heatmap is not None:
            said = f"{max(0.0, state.pts_s - heatmap.pts_s) * 1000:.0f} ms old"
        if self._bares(inside.heading, said):
            self._write(inside.heading, said, 0.86, palette.TEXT, align=Align.RIGHT)
        well = inside.well
        line = Box(well.x, well.bottom, well.w, max(2, round(0.12 * unit)))
        length = round(well.w * life)
        if self._bares(line, length):
            Box(line.x, line.y, length, line.h).fill(self._canvas, palette.TEXT_SOFT)
        below = round(0.2 * unit)  # of the line, which shows how long it has to live
        caption = inside.caption
        caption = Box(caption.x, caption.y + below, caption.w, caption.h - below)
        if self._bares(caption, label := "" if heatmap is None else heatmap.label):
            self._draw_caption(caption, label)
        if heatmap is None:
            self._painted = None
            if self._bares(well, None):
                self._write(well, "no heatmap", 0.8, palette.TEXT_DIM, align=Align.CENTRE)
        elif self._bares(well, (id(heatmap), life)):
            picture = self._picture(heatmap)
            h, w = picture.shape[:2]
            x, y = well.x + (well.w - w) // 2, well.y + (well.h - h) // 2
            spot = self._canvas[y : y + h, x : x + w]
            cv2.addWeighted(picture, life, spot, 1.0 - life, 0.0, dst=spot)

    def _draw_caption(self, box: Box, label: str) -> None:
        unit = self._unit
        place = self._places.get(label)
        if place is not None:
            side = round(0.56 * unit)
            swatch = Box(box.x, box.y + (box.h - side) // 2, side, side)
            swatch.fill(self._canvas, palette.class_colour(place))
            indent = round(0.95 * unit)
            box = Box(box.x + indent, box.y, box.w - indent, box.h)
        self._write(box, readable(label), 0.86, palette.TEXT)

    def _picture(self, heatmap: Heatmap) -> Pixels:
        """Return the heatmap over its frame, painted once for as long as it is shown."""
        if self._painted is None or self._painted[0] is not heatmap:
            region_h, region_w = heatmap.pixels.shape[:2]
            scale = min(self._inside.well.w / region_w, self._inside.well.h / region_h)
            size = max(1, round(region_h * scale)), max(1, round(region_w * scale))
            self._painted = (heatmap, paint_heatmap(heatmap, size, self._spec))
        return self._painted[1]
