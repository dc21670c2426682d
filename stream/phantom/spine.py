"""The spine, along its length and across it, whole or open."""

from dataclasses import dataclass

import numpy as np

from neurosono.stream.phantom.canvas import FLUID, Canvas, Points, arc, paint
from neurosono.stream.phantom.patient import Malformation, Patient

_PITCH = 0.20
"""Distance from one vertebra to the next, in half-BPD units: some 4 to 5 mm at 20 weeks."""


@dataclass(frozen=True)
class Curve:
    """The line of the vertebral bodies: gently curved, or bent at a defect."""

    bow: float
    kink_x: float
    kink: float

    def at(self, x: np.ndarray) -> np.ndarray:
        """Return the height of the vertebral bodies at `x`, the back towards -y."""
        bend = self.kink * np.exp(-(((x - self.kink_x) / 0.7) ** 2))
        return -0.42 + self.bow * x**2 - bend


def _defect(wrong: Malformation) -> tuple[float, float]:
    half = 0.55 + 0.75 * wrong.severity
    middle = -0.35 + 0.9 * wrong.site
    return middle - half, middle + half


def _curve(patient: Patient, wrong: Malformation) -> Curve:
    open_spine = wrong.is_label("rachischisis")
    kink = 0.24 * wrong.severity * (1 - wrong.site) if open_spine else 0.0
    middle = sum(_defect(wrong)) / 2
    return Curve(bow=0.05 + 2 * patient.molding[1], kink_x=middle, kink=kink)


def draw_spine_sagittal(canvas: Canvas, patient: Patient, wrong: Malformation, off: float) -> None:
    """Draw the trunk cut along the spine; `off` in -1..1 is how far beside the midline."""
    curve = _curve(patient, wrong)
    x = np.linspace(-2.3, 2.3, 60)
    skin = np.stack([x, curve.at(x) - 0.38 - 0.05 * np.cos(x)], 1)
    belly = np.stack([x[::-1], 1.25 - 0.12 * x[::-1] ** 2], 1)
    canvas.fill(np.vstack([skin, belly]), paint(patient.tissue_tone - 12, loss=4))
    _draw_organs(canvas, patient, off)
    open_spine = wrong.is_label("rachischisis")
    span = _defect(wrong) if open_spine else (9.0, 9.0)
    _draw_skin(canvas, patient, skin, span)
    canal = curve.at(x) - 0.115
    visible = 1 - 0.7 * abs(off)
    canvas.stroke(np.stack([x, canal], 1), 0.13, paint(40 + 60 * (1 - visible)))
    canvas.stroke(np.stack([x, canal], 1), 0.05, paint(95))
    canvas.stroke(np.stack([x, canal], 1), 0.014, paint(150))
    _draw_centres(canvas, patient, curve, span, visible)
    if open_spine:
        _draw_open_back(canvas, patient, wrong, curve, span)


def _draw_organs(canvas: Canvas, patient: Patient, off: float) -> None:
    canvas.blob((-1.2, 0.55), (0.75, 0.5), paint(patient.tissue_tone - 34))
    canvas.blob((-1.25, 0.75 + 0.1 * off), (0.32, 0.26), paint(60))
    canvas.blob((0.25, 0.65), (0.8, 0.48), paint(patient.tissue_tone - 4))
    canvas.blob((0.55, 0.45 + 0.15 * off), (0.20, 0.14), FLUID)
    canvas.blob((1.35, 0.75), (0.24, 0.17), FLUID)
    if abs(off) > 0.35:
        canvas.blob((0.75, 0.0), (0.36, 0.18), paint(patient.tissue_tone - 44))


def _draw_skin(canvas: Canvas, patient: Patient, skin: Points, span: tuple[float, float]) -> None:
    weights = np.where((skin[:-1, 0] > span[0]) & (skin[:-1, 0] < span[1]), 0.0, 1.0)
    colour = paint(patient.tissue_tone + 14, loss=3, mirror=165)
    canvas.surface(skin, 0.045, colour, weights=weights, floor=0.35)


def _draw_centres(
    canvas: Canvas, patient: Patient, curve: Curve, span: tuple[float, float], visible: float
) -> None:
    """Draw the ossification centres: bodies in one row, arches in the other, joined at the tail."""
    bright = (150 + 56 * visible) * float(np.interp(patient.weeks, [11, 15], [0.9, 1.0]))
    loss = float(np.interp(patient.weeks, [11, 20, 38], [60, 110, 160])) * visible
    for k, x in enumerate(np.arange(-2.25, 2.1, _PITCH)):
        taper = float(np.clip((2.1 - x) / 0.9, 0.25, 1.0))
        y = float(curve.at(np.array([x]))[0])
        body = paint(175, loss=loss, mirror=bright + 14 * np.sin(2.3 * k))
        canvas.blob(
            (x, y),
            (0.052 + 0.012 * np.sin(5.1 * k), (0.056 + 0.010 * np.sin(3.7 * k)) * taper),
            body,
        )
        if span[0] < x < span[1]:
            continue
        arch = paint(175, loss=loss, mirror=bright + 14 * np.sin(1.7 * k))
        canvas.blob((x + 0.03, y - 0.23 * taper), (0.058, 0.034), arch, turn=0.45)


def _draw_open_back(
    canvas: Canvas, patient: Patient, wrong: Malformation, curve: Curve, span: tuple[float, float]
) -> None:
    """Take the arches and skin off the defect; leave raw neural tissue, or a thin-walled sac."""
    x = np.linspace(span[0], span[1], 25)
    deep = curve.at(x) - 0.10
    rim = curve.at(x) - 0.62
    canvas.fill(np.vstack([np.stack([x, deep], 1), np.stack([x[::-1], rim[::-1]], 1)]), FLUID)
    ragged = 0.05 * np.sin(23 * x + 5 * wrong.site) + 0.03 * np.sin(51 * x)
    plate = np.stack([x, deep - 0.05 + ragged * 0.6], 1)
    canvas.stroke(plate, 0.075, paint(patient.tissue_tone + 6))
    canvas.stroke(plate - [0, 0.02], 0.02, paint(186, mirror=130))
    for k in (0, -1):
        lip = (float(x[k]), float(curve.at(x)[k]) - 0.30)
        canvas.blob(lip, (0.10, 0.11), paint(patient.tissue_tone + 12))
    if wrong.cystic:
        half = (span[1] - span[0]) / 2
        top = arc(
            (float(x.mean()), float(rim.mean()) + 0.28), (half * 0.95, 0.42), (np.pi, 2 * np.pi)
        )
        canvas.fill(top, FLUID)
        canvas.surface(top, 0.028, paint(130, mirror=175), floor=0.35)


def draw_spine_axial(canvas: Canvas, patient: Patient, wrong: Malformation, off: float) -> None:
    """Draw the trunk cut across the spine; `off` in -1..1 shifts the level. The back is at -y."""
    trunk = arc((0.0, 0.12), (1.02, 0.95), n=48)
    canvas.fill(trunk, paint(patient.tissue_tone - 14, loss=4))
    canvas.blob((0.42, 0.45), (0.26 - 0.08 * off, 0.2), FLUID)
    canvas.blob((-0.35, 0.42), (0.45, 0.36), paint(patient.tissue_tone - 2))
    for side in (-1, 1):
        canvas.blob((side * 0.40, -0.28), (0.20, 0.25), paint(patient.tissue_tone - 46))
        canvas.blob((side * 0.38, -0.28), (0.08, 0.10), paint(patient.tissue_tone + 10))
        rib = arc(
            (0.0, 0.12),
            (0.93, 0.86),
            (-np.pi / 2 + side * 0.55, -np.pi / 2 + side * (1.15 + 0.3 * off)),
            n=15,
        )
        canvas.surface(rib, 0.05, paint(160, loss=80, mirror=196 - 25 * abs(off)))
    loss = float(np.interp(patient.weeks, [11, 20, 38], [60, 110, 160]))
    bone = paint(175, loss=loss, mirror=212)
    canvas.blob((0.0, -0.38), (0.13, 0.10), bone)
    if wrong.is_label("rachischisis"):
        canvas.surface(
            trunk, 0.04, paint(patient.tissue_tone + 14, mirror=160), weights=_gap(trunk)
        )
        _draw_splayed_arch(canvas, patient, wrong, loss)
        return
    canvas.surface(trunk, 0.04, paint(patient.tissue_tone + 14, mirror=160), closed=True)
    canvas.blob((0.0, -0.56), (0.12, 0.10), paint(45))
    canvas.blob((0.0, -0.56), (0.05, 0.05), paint(120))
    for side in (-1, 1):
        lamina = np.array([[side * 0.19, -0.50], [side * 0.14, -0.62], [side * 0.03, -0.70]])
        canvas.surface(lamina, 0.06, bone, floor=0.6)


def _gap(trunk: Points) -> np.ndarray:
    return np.where((np.abs(trunk[:-1, 0]) < 0.34) & (trunk[:-1, 1] < 0), 0.0, 1.0)


def _draw_splayed_arch(canvas: Canvas, patient: Patient, wrong: Malformation, loss: float) -> None:
    wide = 0.26 + 0.14 * wrong.severity
    trench = np.array([[-0.14, -0.47], [-wide, -1.05], [wide, -1.05], [0.14, -0.47]])
    canvas.fill(trench, FLUID)
    canvas.stroke(
        np.array([[-0.15, -0.54], [0.0, -0.51], [0.15, -0.54]]),
        0.08,
        paint(patient.tissue_tone + 10),
    )
    bone = paint(175, loss=loss, mirror=214)
    for side in (-1, 1):
        lamina = np.array(
            [[side * 0.15, -0.46], [side * 0.24, -0.58], [side * (wide + 0.06), -0.76]]
        )
        canvas.surface(lamina, 0.065, bone, floor=0.6)
    if wrong.cystic:
        sac = arc((0.0, -0.88), (wide + 0.12, 0.26), (np.pi, 2 * np.pi), n=21)
        canvas.fill(sac, FLUID)
        canvas.surface(sac, 0.03, paint(130, mirror=175), floor=0.35)
