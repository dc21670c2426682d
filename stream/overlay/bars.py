"""The running probabilities: one row a class, with its bar and its 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.result import ExamSnapshot
from neurosono.stream.overlay.layout import Box, OverlayLayout
from neurosono.stream.overlay.typeface import REGULAR, SEMIBOLD, Align, Typeface
from neurosono.stream.view import palette
from neurosono.stream.view.palette import Colour
from neurosono.stream.view.words import LEANS, NO_VALUE, has_figures, name_leaning, percentage


def readable(label: str) -> str:
    """Return a label as it stands on the screen: a capital first, spaces between words."""
    words = label.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


@dataclass(frozen=True)
class Row:
    """What one class's row shows: two that are equal look the same, pixel by pixel.

    `length` of the bar is in pixels, None where there is no evidence yet. `whisker` is the
    interval's lower end, the probability and the upper end, columns of the bar from 0 on; None
    where there is no interval.
    """

    value: str = NO_VALUE
    length: int | None = None
    whisker: tuple[int, int, int] | None = None
    in_set: bool = False
    wins: bool = False


class ClassBars:
    """Draws the rows of all classes.

    Without evidence, and while the exam is collecting, they are names and dashes, never bars; at
    the class that it leans to stands a word.
    """

    def __init__(self, layout: OverlayLayout, labels: Sequence[str], type_: Typeface) -> None:
        self._layout = layout
        self._labels = tuple(labels)
        self._type = type_
        unit, boxes = layout.unit_px, layout.inside.bars
        self._above = round(0.1 * unit)
        self._tracks = [
            Box(box.x, box.y + round(1.12 * unit), box.w, max(4, round(0.34 * unit)))
            for box in boxes
        ]
        self._inset = round(0.45 * unit)

    def place(self, place: int) -> Box:
        """Return all that row `place` draws on."""
        box = self._layout.inside.bars[place]
        return Box(box.x - self._inset, box.y - self._above, box.w + 2 * self._inset, box.h)

    def rows(self, exam: ExamSnapshot | None) -> list[Row]:
        """Return what the rows of the exam so far show; None leaves them blank.

        Raises `InputError` where the exam has another number of classes.
        """
        if exam is None:
            return [Row()] * len(self._labels)
        self._check(exam)
        if not has_figures(exam):
            leaning = name_leaning(self._labels, exam)
            return [Row(LEANS) if label == leaning else Row() for label in self._labels]
        winner = _winner(exam, self._labels)
        values = zip(
            exam.probabilities.tolist(), exam.low.tolist(), exam.high.tolist(), strict=True
        )
        return [
            self._row(place, exam, value, wins=place == winner)
            for place, value in enumerate(values)
        ]

    def _row(
        self, place: int, exam: ExamSnapshot, value: tuple[float, float, float], *, wins: bool
    ) -> Row:
        probability, low, high = value
        if not math.isfinite(probability):
            return Row()
        track, whisker = self._tracks[place], None
        if math.isfinite(low) and math.isfinite(high):
            room = track.w - _line_of(track)
            whisker = (
                round(room * _clamp(low)),
                round(room * _clamp(probability)),
                round(room * _clamp(high)),
            )
        return Row(
            percentage(probability),
            round(track.w * _clamp(probability)),
            whisker,
            self._labels[place] in exam.prediction_set,
            wins,
        )

    def _check(self, exam: ExamSnapshot) -> None:
        expected = (len(self._labels),)
        for name in ("probabilities", "low", "high"):
            found = getattr(exam, name).shape
            if found != expected:
                raise InputError(f"the exam's {name} must be {expected}, found {found}")

    def draw(self, canvas: Pixels, place: int, row: Row) -> None:
        """Draw one row onto `canvas`, `(H, W, 3)` BGR uint8, where it is bare."""
        box = self._layout.inside.bars[place]
        if row.length is None:
            self._draw_name(canvas, place, box, palette.TEXT_DIM, REGULAR)
            self._draw_value(canvas, box, row.value, palette.TEXT_DIM, REGULAR)
            _swatch(canvas, self._swatch_box(box), palette.RULE, filled=False)
            return
        colour = palette.class_colour(place)
        if row.wins:
            whole, unit = self.place(place), self._layout.unit_px
            whole.fill(canvas, palette.RAISED)
            Box(whole.x, whole.y, max(3, round(0.16 * unit)), whole.h).fill(canvas, colour)
        ink = palette.TEXT if row.in_set else palette.TEXT_SOFT
        weight = SEMIBOLD if row.in_set else REGULAR
        self._draw_name(canvas, place, box, ink, weight)
        self._draw_value(canvas, box, row.value, ink, weight)
        _swatch(canvas, self._swatch_box(box), colour, filled=row.in_set)
        track = self._tracks[place]
        track.fill(canvas, palette.TRACK)
        Box(track.x, track.y, row.length, track.h).fill(canvas, colour)
        if row.whisker is not None:
            _whisker(canvas, track, row.whisker)

    def _draw_name(self, canvas: Pixels, place: int, box: Box, ink: Colour, weight: int) -> None:
        unit = self._layout.unit_px
        size = 0.86 * unit
        indent = 0.95 * unit
        room = box.w - indent - 2.8 * unit
        name = self._type.shorten(readable(self._labels[place]), room, size, weight)
        origin = (box.x + indent, box.y + 0.84 * unit)
        self._type.draw(canvas, name, origin, size, ink, weight)

    def _draw_value(self, canvas: Pixels, box: Box, value: str, ink: Colour, weight: int) -> None:
        unit = self._layout.unit_px
        origin = (box.right, box.y + 0.84 * unit)
        self._type.draw(canvas, value, origin, 0.92 * unit, ink, weight, Align.RIGHT)

    def _swatch_box(self, box: Box) -> Box:
        unit = self._layout.unit_px
        side = round(0.56 * unit)
        return Box(box.x, box.y + round(0.84 * unit) - side, side, side)


def _winner(exam: ExamSnapshot, labels: tuple[str, ...]) -> int | None:
    """Return the leading class's place, if it is in the prediction set."""
    place = int(np.argmax(exam.probabilities))
    return place if labels[place] in exam.prediction_set else None


def _swatch(canvas: Pixels, box: Box, colour: Colour, filled: bool) -> None:
    box.fill(canvas, colour)
    if not filled:
        box.grown(-max(1, round(box.w * 0.15))).fill(canvas, palette.PANEL)


def _clamp(share: float) -> float:
    return min(1.0, max(0.0, share))


def _line_of(track: Box) -> int:
    return max(1, round(track.h * 0.2))


def _whisker(canvas: Pixels, track: Box, columns: tuple[int, int, int]) -> None:
    """Draw the interval over the bar: dark where it lies on the bar, light on the track."""
    line = _line_of(track)
    left, middle, right = (track.x + column for column in columns)
    y = track.y + (track.h - line) // 2
    Box(left, y, middle - left, line).fill(canvas, palette.OUTLINE)
    Box(middle, y, right - middle, line).fill(canvas, palette.WHITE)
    reach = max(2, round(track.h * 0.35))
    for x in (left, right):
        tick = Box(x, track.y - reach, line, track.h + 2 * reach)
        Box(x - 1, track.y, line + 2, track.h).fill(canvas, palette.OUTLINE)
        tick.fill(canvas, palette.WHITE)
