"""What a probe shows beside heads and spines, each drawn anew: what a gate must learn to refuse.

No exam plans these views; `train gate prepare` shoots them. All are drawn in half-BPD units about
the picture's middle and turned at will; textbook scans gave the shapes, no real picture did.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from neurosono.stream.phantom.canvas import FLUID, Canvas, Paint, Points, arc, paint
from neurosono.stream.phantom.patient import Patient


class Sheet:
    """A canvas turned and sized for one organ, and the numbers that make it like no other."""

    def __init__(self, canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
        self.canvas, self.rng = canvas, rng
        self.tone = patient.tissue_tone + float(rng.normal(0, 8))
        self.turn = float(rng.uniform(0, 2 * np.pi))
        self.size = float(rng.uniform(0.75, 1.3))

    def draw(self, low: float, high: float) -> float:
        """Return a number between the two."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Return True in this share of organs."""
        return bool(self.rng.random() < share)

    def at(self, points: Points) -> Points:
        """Return the points (n, 2), sized and turned."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        placed: Points = np.asarray(points) * self.size @ np.array([[c, s], [-s, c]])
        return placed

    def fill(self, points: Points, colour: Paint) -> None:
        """Fill a closed outline."""
        self.canvas.fill(self.at(points), colour)

    def blob(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Paint,
        turn: float = 0,
    ) -> None:
        """Fill an ellipse."""
        self.fill(arc(centre, radii, turn=turn), colour)

    def line(self, points: Points, width: float, mirror: float, loss: float = 0) -> None:
        """Draw a reflecting line."""
        colour = paint(self.tone + 15, loss=loss, mirror=mirror)
        self.canvas.surface(self.at(points), width * self.size, colour, floor=0.35)

    def tissue(self, above: float, loss: float = 3) -> Paint:
        """Return tissue so many grey levels above the rest of it."""
        return paint(self.tone + above, loss=loss)


def draw_thorax(sheet: Sheet) -> None:
    """Draw a chest: ribs, lungs, a heart of two to four chambers, the aorta before the spine."""
    wall = arc((0, 0), (sheet.draw(0.95, 1.15), sheet.draw(0.85, 1.05)), n=48)
    _draw_trunk(sheet, wall)
    for side in (-1, 1):
        sheet.blob((side * 0.5, 0.0), (0.42, 0.62), sheet.tissue(sheet.draw(-4, 18)))
    axis = sheet.draw(-1.2, 1.2)
    x, y, long = sheet.draw(-0.25, 0.25), sheet.draw(0.0, 0.3), sheet.draw(0.38, 0.6)
    sheet.blob((x, y), (long, 0.75 * long), sheet.tissue(sheet.draw(-18, 4)), axis)
    for k in range(int(sheet.rng.integers(2, 5))):
        away, across = (k // 2 - 0.5) * long * 0.8, (k % 2 - 0.5) * long * 0.62
        c, s = np.cos(axis), np.sin(axis)
        spot = (x + c * away - s * across, y + s * away + c * across)
        sheet.blob(
            spot, (long * sheet.draw(0.22, 0.36), long * sheet.draw(0.16, 0.27)), FLUID, axis
        )
    sheet.blob((sheet.draw(-0.2, 0.2), -0.5), (0.09, 0.09), FLUID)


def draw_belly(sheet: Sheet) -> None:
    """Draw a belly: stomach or none, veins, kidneys or none, ribs, spine."""
    wall = arc((0, 0), (sheet.draw(0.9, 1.15), sheet.draw(0.85, 1.1)), n=48)
    _draw_trunk(sheet, wall)
    if sheet.chance(0.75):
        side = 1 if sheet.chance(0.5) else -1
        where = (side * sheet.draw(0.3, 0.55), sheet.draw(-0.1, 0.4))
        sheet.blob(where, (sheet.draw(0.1, 0.32), sheet.draw(0.08, 0.22)), FLUID, sheet.draw(0, 3))
    if sheet.chance(0.7):
        bend = sheet.draw(-1.0, 0.4)
        vein = arc(
            (sheet.draw(-0.3, 0.1), 0.1), (0.45, 0.34), (bend, bend + sheet.draw(0.8, 2)), n=13
        )
        sheet.canvas.stroke(sheet.at(vein), sheet.draw(0.05, 0.12), FLUID)
    if sheet.chance(0.45):
        for side in (-1, 1):
            _draw_kidney(sheet, (side * 0.4, -0.45), sheet.draw(0.2, 0.3), side * 0.6)
    if sheet.chance(0.3):
        sheet.blob((0.0, 0.55), (sheet.draw(0.1, 0.3), sheet.draw(0.1, 0.25)), FLUID)


def draw_limb(sheet: Sheet) -> None:
    """Draw a limb along its one or two bones, with what their shadows leave of it."""
    thick = sheet.draw(0.28, 0.55)
    around = arc((0, 0), (sheet.draw(1.2, 1.7), thick), n=40)
    sheet.fill(around, sheet.tissue(-12))
    bones = 2 if sheet.chance(0.35) else 1
    for k in range(bones):
        half, bow = sheet.draw(0.45, 1.0), sheet.draw(-0.12, 0.12)
        x = np.linspace(-half, half, 17)
        y = bow * (1 - (x / half) ** 2) + (k - (bones - 1) / 2) * 0.3
        sheet.line(np.stack([x, y], 1), sheet.draw(0.06, 0.13), sheet.draw(215, 245), loss=200)
    if sheet.chance(0.6):
        sheet.line(np.vstack([around, around[:1]]), 0.04, sheet.draw(150, 190))


def draw_kidneys(sheet: Sheet) -> None:
    """Draw one or two kidneys at length, their basins dark, perhaps a full bladder below."""
    for side in (-1, 1) if sheet.chance(0.6) else (1,):
        where = (sheet.draw(-0.2, 0.2), side * sheet.draw(0.4, 0.6))
        _draw_kidney(sheet, where, sheet.draw(0.4, 0.65), sheet.draw(-0.3, 0.3))
    if sheet.chance(0.5):
        sheet.blob(
            (sheet.draw(0.7, 1.0), 0.0), (sheet.draw(0.2, 0.4), sheet.draw(0.2, 0.35)), FLUID
        )
    for x in np.arange(-1.1, 1.2, sheet.draw(0.16, 0.26)):
        sheet.blob((float(x), 0.0), (0.055, 0.05), paint(170, loss=90, mirror=200))


def draw_vessels(sheet: Sheet) -> None:
    """Draw vessels in layered tissue, along or across: a neck, a thigh, a cord."""
    sheet.turn = sheet.draw(-0.35, 0.35)
    _draw_layers(sheet, sheet.draw(-1.6, -0.8), sheet.draw(0.3, 1.2))
    for _ in range(int(sheet.rng.integers(1, 4))):
        y, wide = sheet.draw(-0.9, 0.9), sheet.draw(0.12, 0.4)
        if sheet.chance(0.55):
            x = np.linspace(-2.2, 2.2, 21)
            middle = y + sheet.draw(-0.2, 0.2) * x + 0.05 * np.sin(3 * x + y)
            upper, lower = (np.stack([x, middle + k * wide / 2], 1) for k in (-1, 1))
            sheet.fill(np.vstack([upper, lower[::-1]]), FLUID)
        else:
            lower = arc((sheet.draw(-1, 1), y), (wide * sheet.draw(0.5, 0.9), wide / 2), n=30)
            upper = lower
            sheet.fill(lower, FLUID)
        for wall in (upper, lower):
            sheet.line(wall, 0.03, sheet.draw(170, 225))


def draw_cervix(sheet: Sheet) -> None:
    """Draw a cervix at length: a bladder above, two lips, the canal between them, fluid beyond."""
    sheet.turn = sheet.draw(-0.5, 0.5)
    _draw_layers(sheet, -1.9, -1.2)
    if sheet.chance(0.6):
        sheet.blob(
            (sheet.draw(-0.8, 0.2), -0.95), (sheet.draw(0.4, 0.9), sheet.draw(0.1, 0.3)), FLUID
        )
    sheet.fill(arc((0.2, 0), (1.5, sheet.draw(0.55, 0.8)), n=40), sheet.tissue(sheet.draw(-14, 4)))
    x = np.linspace(-1.1, 1.2, 19)
    canal = np.stack([x, 0.12 * np.sin(1.3 * x + sheet.draw(0, 6))], 1)
    sheet.canvas.stroke(sheet.at(canal), sheet.draw(0.08, 0.18), sheet.tissue(-26))
    sheet.line(canal, 0.03, sheet.draw(150, 205))
    if sheet.chance(0.7):
        sheet.blob((-1.55, 0.1), (sheet.draw(0.4, 0.7), sheet.draw(0.5, 0.9)), FLUID)


def draw_lung(sheet: Sheet) -> None:
    """Draw a lung through the chest wall: ribs and their shadows, the pleura and its echoes."""
    sheet.turn, sheet.size = sheet.draw(-0.2, 0.2), 1.0
    top, apart = sheet.draw(-1.5, -0.9), sheet.draw(0.35, 0.7)
    _draw_layers(sheet, -2.2, top)
    sheet.fill(_slab(top, 2.3), sheet.tissue(sheet.draw(-60, -20)))
    x = np.linspace(-2.2, 2.2, 15)
    for k in range(int(sheet.rng.integers(1, 6))):
        echo = np.stack([x, np.full_like(x, top + k * apart)], 1)
        sheet.line(echo, 0.05, max(230 - 28 * k, 90))
    for at in (sheet.draw(-1.3, -0.5), sheet.draw(0.5, 1.3))[: int(sheet.rng.integers(0, 3))]:
        sheet.blob((at, top - 0.22), (0.28, 0.09), paint(180, loss=250, mirror=230))
    for _ in range(int(sheet.rng.integers(0, 4))):
        at = sheet.draw(-1.2, 1.2)
        ray = np.array([(at - 0.05, top), (at + 0.05, top), (at + 0.16, 2.3), (at - 0.16, 2.3)])
        sheet.fill(ray, sheet.tissue(sheet.draw(5, 45), loss=0))


def draw_placenta(sheet: Sheet) -> None:
    """Draw a placenta over fluid, with loops of cord cut across and along."""
    edge = sheet.draw(-0.5, 0.5)
    x = np.linspace(-2.3, 2.3, 25)
    rim = np.stack([x, edge + 0.25 * np.sin(sheet.draw(0.8, 1.8) * x + sheet.draw(0, 6))], 1)
    slab = np.vstack([rim, [(2.3, -2.3), (-2.3, -2.3)]])
    sheet.fill(slab, sheet.tissue(sheet.draw(0, 25)))
    sheet.line(rim, 0.04, sheet.draw(140, 200))
    pool = np.vstack([rim, [(2.3, 2.3), (-2.3, 2.3)]])
    sheet.fill(pool, FLUID)
    for _ in range(int(sheet.rng.integers(1, 6))):
        where = (sheet.draw(-1.4, 1.4), edge + sheet.draw(0.4, 1.5))
        sheet.blob(where, (0.2, sheet.draw(0.12, 0.2)), sheet.tissue(5), sheet.draw(0, 3))
        for k in range(3):
            sheet.blob((where[0] + 0.09 * (k - 1), where[1]), (0.05, 0.06), FLUID)


def draw_clutter(sheet: Sheet) -> None:
    """Draw what is no organ at all: lumps, fluid and lines, dealt at random."""
    if sheet.chance(0.6):
        outline = arc((0, 0), (sheet.draw(0.6, 1.5), sheet.draw(0.5, 1.3)), n=40)
        sheet.fill(outline, sheet.tissue(sheet.draw(-35, 20)))
    for _ in range(int(sheet.rng.integers(3, 14))):
        where = (sheet.draw(-1.5, 1.5), sheet.draw(-1.5, 1.5))
        kind, long = sheet.rng.integers(4), sheet.draw(0.08, 0.7)
        if kind == 0:
            sheet.blob(where, (long, long * sheet.draw(0.3, 1)), FLUID, sheet.draw(0, 3))
        elif kind == 1:
            sheet.blob(
                where,
                (long, long * sheet.draw(0.3, 1)),
                sheet.tissue(sheet.draw(-45, 35)),
                sheet.draw(0, 3),
            )
        elif kind == 2:
            begin = sheet.draw(0, 6)
            bow = arc(where, (long * 1.5, long), (begin, begin + sheet.draw(0.5, 2.5)), n=15)
            sheet.line(bow, sheet.draw(0.02, 0.09), sheet.draw(140, 240), loss=sheet.draw(0, 150))
        else:
            ends = np.array([where, (where[0] + sheet.draw(-1, 1), where[1] + sheet.draw(-1, 1))])
            sheet.line(
                np.linspace(ends[0], ends[1], 9), sheet.draw(0.02, 0.1), sheet.draw(140, 240)
            )


def _draw_trunk(sheet: Sheet, wall: Points) -> None:
    """Draw a trunk's wall, its ribs, and a spine of one to three bright centres."""
    sheet.fill(wall, sheet.tissue(sheet.draw(-16, 2), loss=4))
    sheet.line(np.vstack([wall, wall[:1]]), 0.045, sheet.draw(30, 185))
    for side in (-1, 1):
        for _ in range(int(sheet.rng.integers(0, 3))):
            begin = -np.pi / 2 + side * sheet.draw(0.4, 1.6)
            rib = arc((0, 0), (0.95, 0.86), (begin, begin + side * sheet.draw(0.3, 1.1)), n=13)
            sheet.line(rib, sheet.draw(0.035, 0.07), sheet.draw(180, 225), loss=100)
    if sheet.chance(0.85):
        centres = [(0.0, -0.6), (0.15, -0.76), (-0.15, -0.76)]
        for x, y in centres[: int(sheet.rng.integers(1, 4))]:
            sheet.blob((x, y), (0.1, 0.08), paint(175, loss=110, mirror=sheet.draw(200, 225)))


def _draw_kidney(sheet: Sheet, where: tuple[float, float], long: float, turn: float) -> None:
    sheet.blob(where, (long, 0.55 * long), sheet.tissue(sheet.draw(-32, -8)), turn)
    basin = FLUID if sheet.chance(0.4) else sheet.tissue(18)
    sheet.blob(where, (0.5 * long, 0.16 * long), basin, turn)


def _draw_layers(sheet: Sheet, top: float, bottom: float) -> None:
    """Draw skin, fat and muscle as they lie under a flat probe, from `top` to `bottom`."""
    edges = np.sort(sheet.rng.uniform(top, bottom, int(sheet.rng.integers(2, 6))))
    for upper, lower in pairwise(edges):
        sheet.fill(_slab(float(upper), float(lower)), sheet.tissue(sheet.draw(-40, 20)))
        x = np.linspace(-2.3, 2.3, 15)
        sheet.line(np.stack([x, np.full_like(x, upper)], 1), 0.03, sheet.draw(110, 210))


def _slab(top: float, bottom: float) -> Points:
    return np.array([(-2.35, top), (2.35, top), (2.35, bottom), (-2.35, bottom)])


ORGANS: dict[str, Callable[[Sheet], None]] = {
    "thorax": draw_thorax,
    "belly": draw_belly,
    "limb": draw_limb,
    "kidneys": draw_kidneys,
    "vessels": draw_vessels,
    "cervix": draw_cervix,
    "lung": draw_lung,
    "placenta": draw_placenta,
    "clutter": draw_clutter,
}
DRY = ("vessels", "cervix", "lung")
"""No fluid of a womb is about these."""
