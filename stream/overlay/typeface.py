"""Lettering for the overlay: one sans face, sizes in pixels, cheap enough to draw on every frame.

OpenCV 5 carries a variable TrueType face with tabular figures; OpenCV 4 only has stroke fonts,
which stand in for it, smoothed, so that the overlay reads the same with either.
"""

from enum import Enum
from functools import lru_cache
from typing import Any

import cv2

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.overlay.layout import Box
from neurosono.stream.view.palette import Colour

REGULAR = 400
MEDIUM = 500
SEMIBOLD = 600
BOLD = 700

_HERSHEY = cv2.FONT_HERSHEY_SIMPLEX
_HERSHEY_SIZE_PX = 29.0
"""The TrueType size whose capitals are as high as the stroke font's at scale 1 (both measured)."""
_ASCII = {ord("…"): "...", ord("—"): "-", ord("·"): "-", 0x2013: "-", 0xD7: "x"}
"""What the stroke font lacks (among it the en dash and the multiplication sign)."""


class Align(Enum):
    """Which end of a text stands at the given x."""

    LEFT = 0.0
    CENTRE = 0.5
    RIGHT = 1.0


class Typeface:
    """One face in any size and weight.

    `truetype` None takes the TrueType face where this OpenCV has it; False forces the stroke font.
    """

    def __init__(self, truetype: bool | None = None) -> None:
        wanted = hasattr(cv2, "FontFace") if truetype is None else truetype
        self._face: Any = cv2.FontFace("sans") if wanted else None
        self.width = lru_cache(maxsize=2048)(self._width)
        self.shorten = lru_cache(maxsize=512)(self._shorten)

    def draw(
        self,
        canvas: Pixels,
        text: str,
        origin: tuple[float, float],
        size_px: float,
        colour: Colour,
        weight: int = REGULAR,
        align: Align = Align.LEFT,
    ) -> None:
        """Write one line onto `canvas`, `(H, W, 3)` BGR uint8; `origin` is x and the baseline."""
        if not text:
            return
        shift = align.value * self.width(text, size_px, weight) if align is not Align.LEFT else 0.0
        at = (round(origin[0] - shift), round(origin[1]))
        if self._face is not None:
            cv2.putText(canvas, text, at, colour, self._face, round(size_px), weight)
            return
        scale, thickness = _stroke(size_px, weight)
        plain = text.translate(_ASCII)
        cv2.putText(canvas, plain, at, _HERSHEY, scale, colour, thickness, cv2.LINE_AA)

    def _width(self, text: str, size_px: float, weight: int = REGULAR) -> int:
        """Return how wide `text` runs, in pixels."""
        if self._face is not None:
            size = round(size_px)
            box = cv2.getTextSize((0, 0), text, (0, 0), self._face, size, weight)
            return int(box[0] + box[2])
        scale, thickness = _stroke(size_px, weight)
        plain = text.translate(_ASCII)
        return int(cv2.getTextSize(plain, _HERSHEY, scale, thickness)[0][0])

    def _shorten(self, text: str, width_px: float, size_px: float, weight: int = REGULAR) -> str:
        """Return `text`, cut with an ellipsis where it would run wider than `width_px`."""
        if self._width(text, size_px, weight) <= width_px:
            return text
        for end in range(len(text) - 1, 0, -1):
            cut = text[:end].rstrip() + "…"
            if self._width(cut, size_px, weight) <= width_px:
                return cut
        return ""


def _stroke(size_px: float, weight: int) -> tuple[float, int]:
    heavy = weight >= SEMIBOLD
    return size_px / _HERSHEY_SIZE_PX, max(1, round(size_px * (0.08 if heavy else 0.05)))


class Lettered:
    """What writes lines into boxes of its canvas; sizes are multiples of its unit, pixels."""

    _canvas: Pixels
    _unit: float
    _type: Typeface

    def _write(
        self,
        box: Box,
        text: str,
        size_units: float,
        colour: Colour,
        weight: int = REGULAR,
        align: Align = Align.LEFT,
    ) -> None:
        """Write one line into `box`, its capitals centred in the height, cut to the width."""
        size = size_units * self._unit
        origin = (box.x + align.value * box.w, box.y + box.h / 2 + 0.35 * size)
        line = self._type.shorten(text, box.w, size, weight)
        self._type.draw(self._canvas, line, origin, size, colour, weight, align)
