"""The sheet on which one slice of anatomy is laid out before it is scanned.

Four channels of 8 bit: `tone` (backscatter, 6 dB each 25.5), `cover` (255 where the fetus hides the
mother), `loss` (attenuation beyond soft tissue) and `mirror` (a smooth surface's specular echo).
Coordinates are in half-BPD units about the centre of the slice, x along the head, y across it.

Beside the sheet lies a second one with the truth: the outline of each structure as it was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Floats, Pixels

CANVAS_PX = 384
HALF_EXTENT = 2.35
"""Half the side of the sheet in units: an occiput at 1.4 and a large sac behind it."""

_SHIFT = 4
_SUBPIXEL = 1 << _SHIFT
_PX_PER_UNIT = CANVAS_PX / (2 * HALF_EXTENT)

FLUID_TONE = 6
_WAVES = 6
Points = Floats
Paint = tuple[int, int, int, int]


def paint(tone: float, loss: float = 0, mirror: float = 0) -> Paint:
    """Return a covering colour: backscatter, attenuation and specular echo, each 0 to 255."""
    t, a, m = (int(np.clip(round(v), 0, 255)) for v in (tone, loss, mirror))
    return (t, 255, a, m)


FLUID = paint(FLUID_TONE)


def arc(
    centre: tuple[float, float],
    radii: tuple[float, float],
    angles: tuple[float, float] = (0.0, 2 * np.pi),
    turn: float = 0.0,
    n: int = 28,
) -> Points:
    """Return `n` points of an ellipse's arc, (n, 2), turned by `turn` radians."""
    phi = np.linspace(angles[0], angles[1], n)
    x, y = radii[0] * np.cos(phi), radii[1] * np.sin(phi)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], axis=1)


class Growth:
    """How one fetus is shaped unlike the drawing: a smooth bend of all that is drawn."""

    def __init__(self, rng: np.random.Generator, size: float = 0.014) -> None:
        self._waves = rng.normal(0, 1, (_WAVES, 2)) * np.linspace(0.8, 3.2, _WAVES)[:, None]
        self._phases = rng.uniform(0, 2 * np.pi, _WAVES)
        self._shifts = rng.normal(0, size, (_WAVES, 2))

    def bend(self, points: Points) -> Points:
        """Return the points (n, 2) moved by a few hundredths of a unit."""
        p = np.asarray(points, np.float64)
        out: Points = p + np.sin(p @ self._waves.T + self._phases) @ self._shifts
        return out


@dataclass(frozen=True)
class Mark:
    """What was drawn, by its name, and its outline (n, 2) as the fetus has grown, in units."""

    name: str
    outline: Points


class Canvas:
    """One slice being drawn; `apex` is where the scan lines meet, in the slice's units.

    `marks` holds the truth of it: marking a structure draws nothing.
    """

    def __init__(self, apex: tuple[float, float], growth: "Growth | None" = None) -> None:
        self.pixels: Pixels = np.zeros((CANVAS_PX, CANVAS_PX, 4), np.uint8)
        self.apex = np.asarray(apex, np.float64)
        self.marks: list[Mark] = []
        self._growth = growth

    def mark(self, name: str, outline: Points) -> None:
        """Keep the outline (n, 2) of a structure that is drawn at these points."""
        points = np.asarray(outline, np.float64)
        if self._growth is not None:
            points = self._growth.bend(points)
        self.marks.append(Mark(name, points))

    def mark_hull(self, name: str, *outlines: Points) -> None:
        """Keep the hull about several outlines that are one structure."""
        points = np.vstack(outlines).astype(np.float32)
        self.mark(name, cv2.convexHull(points)[:, 0].astype(np.float64))

    def _place(self, points: Points) -> NDArray[np.int32]:
        if self._growth is not None:
            points = self._growth.bend(points)
        placed = (np.asarray(points, np.float64) + HALF_EXTENT) * (_PX_PER_UNIT * _SUBPIXEL)
        return np.rint(placed).astype(np.int32)

    def fill(self, points: Points, colour: Paint) -> None:
        """Fill a closed outline."""
        cv2.fillPoly(self.pixels, [self._place(points)], colour, cv2.LINE_AA, _SHIFT)

    def blob(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Paint,
        turn: float = 0.0,
    ) -> None:
        """Fill an ellipse turned by `turn` radians."""
        self.fill(arc(centre, radii, turn=turn), colour)

    def lump(self, centre: tuple[float, float], size: float, colour: Paint, phase: float) -> None:
        """Fill an irregular, knobbly shape of about radius `size`; `phase` picks its shape."""
        phi = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        r = 1 + 0.17 * np.sin(2 * phi + 5 * phase) + 0.13 * np.sin(3 * phi - 9 * phase)
        r = size * (r + 0.09 * np.sin(5 * phi + 17 * phase) + 0.05 * np.sin(8 * phi + 29 * phase))
        self.fill(np.stack([centre[0] + r * np.cos(phi), centre[1] + r * np.sin(phi)], 1), colour)

    def stroke(self, points: Points, width: float, colour: Paint, closed: bool = False) -> None:
        """Draw a line of even tone, `width` units wide."""
        thickness = max(1, round(width * _PX_PER_UNIT))
        placed = [self._place(points)]
        cv2.polylines(self.pixels, placed, closed, colour, thickness, cv2.LINE_AA, _SHIFT)

    def surface(
        self,
        points: Points,
        width: float,
        colour: Paint,
        *,
        closed: bool = False,
        floor: float = 0.25,
        weights: Sequence[float] | Floats | None = None,
    ) -> None:
        """Draw a reflecting line, brightest where the beam meets it square.

        `colour`'s specular part is scaled between `floor` and 1 by the cube of the cosine between
        beam and normal, and by `weights`, one for each segment; a weight below 0.02 is a gap.
        """
        ring = np.vstack([points, points[:1]]) if closed else np.asarray(points, np.float64)
        step = np.diff(ring, axis=0)
        beam = (ring[:-1] + ring[1:]) / 2 - self.apex
        cross = np.abs(step[:, 0] * beam[:, 1] - step[:, 1] * beam[:, 0])
        cosine = cross / np.maximum(np.hypot(*step.T) * np.hypot(*beam.T), 1e-9)
        weight = np.ones(len(step)) if weights is None else np.asarray(weights)[: len(step)]
        # Decibels, not amplitude: the eye sees the fall-off on a compressed scale.
        gain = (floor + (1 - floor) * cosine**3) * weight
        mirrors = np.rint(colour[3] * np.clip(gain, 0, 1) ** 0.45).astype(int).tolist()
        placed = self._place(ring).tolist()
        thickness = max(1, round(width * _PX_PER_UNIT))
        for k, mirror in enumerate(mirrors):
            if weight[k] < 0.02:
                continue
            shade = (colour[0], 255, int(colour[2] * min(1.0, weight[k])), mirror)
            cv2.line(self.pixels, placed[k], placed[k + 1], shade, thickness, cv2.LINE_AA, _SHIFT)
