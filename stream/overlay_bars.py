"""The running probabilities: one row a class, with its bar and its 95 % interval."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.contracts.errors import InputError
from engine.contracts.result import ExamSnapshot, ExamState
from stream import palette
from stream.overlay_layout import Box, OverlayLayout
from stream.typeface import REGULAR, SEMIBOLD, Align, Colour, Typeface

_NO_VALUE = "—"


def readable(label: str) -> str:
    """Return a label as it stands on the screen: a capital first, spaces between words."""
    words = label.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def percentage(probability: float) -> str:
    """Return a probability in words that never claim 0 or 100 % where it is neither."""
    if not math.isfinite(probability):
        return _NO_VALUE
    if 0.0 < probability < 0.005:
        return "<1%"
    if 0.995 <= probability < 1.0:
        return ">99%"
    return f"{probability * 100:.0f}%"


class ClassBars:
    """Draws the rows of all classes; without evidence they are names and dashes, never bars."""

    def __init__(self, layout: OverlayLayout, labels: Sequence[str], type_: Typeface) -> None:
        self._layout = layout
        self._labels = tuple(labels)
        self._type = type_

    def draw(self, canvas: NDArray[np.uint8], exam: ExamSnapshot | None) -> None:
        """Draw the exam so far onto `canvas`, `(H, W, 3)` BGR uint8; None draws it blank.

        Raises `InputError` where the exam has another number of classes.
        """
        if exam is not None:
            self._check(exam)
        winner = _winner(exam, self._labels)
        for place, box in enumerate(self._layout.inside.bars):
            if exam is None or not math.isfinite(exam.probabilities[place]):
                self._draw_blank(canvas, place, box)
            else:
                self._draw_row(canvas, place, box, exam, place == winner)

    def _check(self, exam: ExamSnapshot) -> None:
        expected = (len(self._labels),)
        for name in ("probabilities", "low", "high"):
            found = getattr(exam, name).shape
            if found != expected:
                raise InputError(f"the exam's {name} must be {expected}, found {found}")

    def _draw_blank(self, canvas: NDArray[np.uint8], place: int, box: Box) -> None:
        self._draw_name(canvas, place, box, palette.TEXT_DIM, REGULAR)
        self._draw_value(canvas, box, _NO_VALUE, palette.TEXT_DIM, REGULAR)
        _swatch(canvas, self._swatch_box(box), palette.RULE, filled=False)

    def _draw_row(
        self, canvas: NDArray[np.uint8], place: int, box: Box, exam: ExamSnapshot, wins: bool
    ) -> None:
        unit = self._layout.unit_px
        colour = palette.class_colour(place)
        in_set = self._labels[place] in exam.prediction_set
        if wins:
            _draw_winner(canvas, box, unit, colour)
        ink = palette.TEXT if in_set else palette.TEXT_SOFT
        weight = SEMIBOLD if in_set else REGULAR
        probability = float(exam.probabilities[place])
        self._draw_name(canvas, place, box, ink, weight)
        self._draw_value(canvas, box, percentage(probability), ink, weight)
        _swatch(canvas, self._swatch_box(box), colour, filled=in_set)
        track = Box(box.x, box.y + round(1.12 * unit), box.w, max(4, round(0.34 * unit)))
        track.fill(canvas, palette.TRACK)
        length = round(track.w * min(1.0, max(0.0, probability)))
        Box(track.x, track.y, length, track.h).fill(canvas, colour)
        interval = float(exam.low[place]), float(exam.high[place])
        _whisker(canvas, track, probability, interval)

    def _draw_name(
        self, canvas: NDArray[np.uint8], place: int, box: Box, ink: Colour, weight: int
    ) -> None:
        unit = self._layout.unit_px
        size = 0.86 * unit
        indent = 0.95 * unit
        room = box.w - indent - 2.8 * unit
        name = self._type.shorten(readable(self._labels[place]), room, size, weight)
        origin = (box.x + indent, box.y + 0.84 * unit)
        self._type.draw(canvas, name, origin, size, ink, weight)

    def _draw_value(
        self, canvas: NDArray[np.uint8], box: Box, value: str, ink: Colour, weight: int
    ) -> None:
        unit = self._layout.unit_px
        origin = (box.right, box.y + 0.84 * unit)
        self._type.draw(canvas, value, origin, 0.92 * unit, ink, weight, Align.RIGHT)

    def _swatch_box(self, box: Box) -> Box:
        unit = self._layout.unit_px
        side = round(0.56 * unit)
        return Box(box.x, box.y + round(0.84 * unit) - side, side, side)


def _winner(exam: ExamSnapshot | None, labels: tuple[str, ...]) -> int | None:
    """Return the leading class's place, once it is in the prediction set of more than a few frames.

    A class is not singled out while too few frames are collected to say anything.
    """
    if exam is None or exam.state is ExamState.COLLECTING:
        return None
    if not np.all(np.isfinite(exam.probabilities)):
        return None
    place = int(np.argmax(exam.probabilities))
    return place if labels[place] in exam.prediction_set else None


def _draw_winner(canvas: NDArray[np.uint8], box: Box, unit: float, colour: Colour) -> None:
    inset = round(0.45 * unit)
    top = box.y - round(0.1 * unit)
    Box(box.x - inset, top, box.w + 2 * inset, box.h).fill(canvas, palette.RAISED)
    Box(box.x - inset, top, max(3, round(0.16 * unit)), box.h).fill(canvas, colour)


def _swatch(canvas: NDArray[np.uint8], box: Box, colour: Colour, filled: bool) -> None:
    box.fill(canvas, colour)
    if not filled:
        box.grown(-max(1, round(box.w * 0.15))).fill(canvas, palette.PANEL)


def _whisker(
    canvas: NDArray[np.uint8], track: Box, probability: float, interval: tuple[float, float]
) -> None:
    """Draw the interval over the bar: dark where it lies on the bar, light on the track."""
    if not all(math.isfinite(end) for end in interval):
        return
    line = max(1, round(track.h * 0.2))
    left, middle, right = (
        track.x + round((track.w - line) * min(1.0, max(0.0, end)))
        for end in (interval[0], probability, interval[1])
    )
    y = track.y + (track.h - line) // 2
    Box(left, y, middle - left, line).fill(canvas, palette.OUTLINE)
    Box(middle, y, right - middle, line).fill(canvas, palette.WHITE)
    reach = max(2, round(track.h * 0.35))
    for x in (left, right):
        tick = Box(x, track.y - reach, line, track.h + 2 * reach)
        Box(x - 1, track.y, line + 2, track.h).fill(canvas, palette.OUTLINE)
        tick.fill(canvas, palette.WHITE)
