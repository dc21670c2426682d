"""Coloured notes on a screen: words, calipers, arrows, focus marks, logos, body marks.

They stand on the picture or beside it, in one colour each, and do not move with what is scanned.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels

if TYPE_CHECKING:
    from collections.abc import Callable

Colour = tuple[int, int, int]
Point = tuple[int, int]

COLOURS: tuple[Colour, ...] = (
    (0, 255, 255),
    (90, 255, 90),
    (255, 255, 0),
    (0, 150, 255),
    (255, 80, 255),
    (60, 60, 255),
    (255, 120, 40),
    (60, 220, 160),
)
"""Blue, green and red of what scanners write in: yellow, green, cyan, orange, pink, red, blue."""
WORDS = ("CSP", "BPD 52.1 mm", "HC 189.4", "FETUS A", "TV PLANE", "Cereb 21.4", "21w3d", "LT", "RT",
         "CM 5.2mm", "ANT", "SPINE", "1 D 4.32 cm", "MARKER", "Vp 7.1", "*** HOLD ***")  # fmt: skip
FONTS = tuple(face | slant for face in range(8) for slant in (0, cv2.FONT_ITALIC))
"""OpenCV's eight typefaces, upright and slanted."""
LARGEST = 2.6
"""Of a font's scale at 600 rows: capitals of 57 pixels, strokes of 8."""


class Notes:
    """The notes of one exam, drawn anew on each screen in the same places."""

    def __init__(
        self, count: int, rng: np.random.Generator, box: tuple[int, int, int, int]
    ) -> None:
        """Plan `count` notes within `box`, `x, y, w, h` on the screen, and around it."""
        self._box, self._unit = box, box[3] / 500
        self._drawn: list[
            tuple[Callable[[Pixels, np.random.Generator, Colour], None], int, Colour]
        ] = []
        kinds = (self._word, self._word, self._caliper, self._ellipse, self._arrow, self._focus,
                 self._logo, self._body_mark)  # fmt: skip
        for _ in range(count):
            kind = kinds[int(rng.integers(len(kinds)))]
            colour = COLOURS[int(rng.integers(len(COLOURS)))]
            self._drawn.append((kind, int(rng.integers(2**32)), colour))

    def draw(self, screen: Pixels) -> None:
        """Draw them on a screen, `(H, W, 3)` BGR, in place."""
        for kind, seed, colour in self._drawn:
            kind(screen, np.random.default_rng(seed), colour)

    def _place(self, rng: np.random.Generator) -> Point:
        x, y, w, h = self._box
        return int(x + w * rng.uniform(-0.02, 0.9)), int(y + h * rng.uniform(0.06, 0.98))

    def _word(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        scale = float(np.exp(rng.uniform(np.log(0.4), np.log(LARGEST)))) * self._unit
        weight = max(1, round(scale * rng.uniform(0.8, 3.0)))
        font, text = int(rng.choice(FONTS)), str(rng.choice(WORDS))
        place = self._place(rng)
        if rng.random() < 0.25:
            cv2.putText(screen, text, place, font, scale, (0, 0, 0), weight + 2, cv2.LINE_AA)
        cv2.putText(screen, text, place, font, scale, colour, weight, cv2.LINE_AA)

    def _caliper(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        one, other = np.array(self._place(rng)), np.array(self._place(rng))
        side, weight = round(rng.uniform(9, 18) * self._unit), int(rng.integers(1, 3))
        for x, y in (one.tolist(), other.tolist()):
            cv2.drawMarker(screen, (x, y), colour, int(rng.choice([0, 1])), max(side, 5), weight)
        self._dot(
            screen, np.linspace(one, other, max(4, int(np.hypot(*(one - other)) / 7))), colour
        )

    def _ellipse(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        axes = rng.uniform(40, 170, 2) * self._unit
        turn = np.linspace(0, 2 * np.pi, int(np.sum(axes) / 3))
        ring = np.stack([axes[0] * np.cos(turn), axes[1] * np.sin(turn)], 1) + self._place(rng)
        self._dot(screen, ring, colour)

    def _dot(self, screen: Pixels, points: Floats, colour: Colour) -> None:
        for x, y in points.round().astype(int).tolist():
            cv2.circle(screen, (x, y), max(1, round(0.9 * self._unit)), colour, -1)

    def _arrow(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        x, y = self._place(rng)
        way = rng.normal(0, 26, 2) * self._unit
        tip = (x + int(way[0]), y + int(way[1]))
        cv2.arrowedLine(screen, (x, y), tip, colour, int(rng.integers(1, 5)), tipLength=0.4)

    def _focus(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        x, y, w, h = self._box
        side, high = rng.uniform(5, 11) * self._unit, y + h * rng.uniform(0.2, 0.9)
        left = x + w * float(rng.choice([0.03, 0.12, 0.9, 0.97]))
        corners = np.array([[left, high - side], [left, high + side], [left - side, high]])
        cv2.fillPoly(screen, [corners.round().astype(np.int32)], colour)

    def _logo(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        x, y = self._place(rng)
        side = round(rng.uniform(10, 22) * self._unit)
        cv2.circle(screen, (x, y), side, colour, -1, cv2.LINE_AA)
        size = side / 14
        cv2.putText(screen, "NB", (x - side * 3 // 4, y + side // 3), 0, size, (255, 255, 255), 2)

    def _body_mark(self, screen: Pixels, rng: np.random.Generator, colour: Colour) -> None:
        x, y = self._place(rng)
        unit = rng.uniform(0.7, 1.4) * self._unit
        cv2.ellipse(
            screen, (x, y), (int(22 * unit), int(32 * unit)), 0, 0, 360, colour, 2, cv2.LINE_AA
        )
        cv2.circle(screen, (x, y - int(14 * unit)), max(2, int(7 * unit)), colour, 1, cv2.LINE_AA)
        tip = (x + int(15 * unit), y + int(10 * unit))
        cv2.line(screen, (x, y), tip, (0, 255, 255), max(1, round(3 * unit)))
