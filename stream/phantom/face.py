"""The face and vault in a coronal slice: orbits, jaws, and what stands above them."""

import numpy as np

from neurosono.stream.phantom.canvas import FLUID, Canvas, Points, arc, paint
from neurosono.stream.phantom.patient import Malformation, Patient


def draw_face(canvas: Canvas, patient: Patient, wrong: Malformation, depth: float) -> None:
    """Draw a coronal slice; `depth` -1 is at the lips, 1 behind the orbits. Crown along +x."""
    _draw_cheeks(canvas, patient)
    if wrong.is_label("anencephaly"):
        _draw_stroma(canvas, patient, wrong, depth)
    else:
        _draw_dome(canvas, patient, wrong, depth)
    _draw_jaws(canvas, patient, depth)
    _draw_orbits(canvas, patient, wrong, depth)


def _draw_cheeks(canvas: Canvas, patient: Patient) -> None:
    outline = arc((-0.45, 0.0), (0.85, 0.72), n=36)
    canvas.fill(outline, paint(patient.tissue_tone - 16, loss=5))
    canvas.stroke(outline, 0.03, paint(patient.tissue_tone + 20), closed=True)


def _dome(wrong: Malformation) -> Points:
    small = 1 - 0.1 * wrong.severity if wrong.is_label("encephalocele") else 1.0
    return arc((0.15, 0.0), (1.12 * small, 0.98 * small), (-1.85, 1.85), n=52)


def _draw_dome(canvas: Canvas, patient: Patient, wrong: Malformation, depth: float) -> None:
    dome = _dome(wrong)
    if wrong.is_label("encephalocele"):
        _draw_high_sac(canvas, patient, wrong)
    canvas.fill(dome * 1.06, paint(patient.tissue_tone - 22, loss=4))
    canvas.fill(dome * 0.97, paint(patient.brain_tone, loss=2))
    if wrong.is_label("holoprosencephaly"):
        hollow = 0.55 + 0.25 * wrong.severity
        canvas.fill(arc((0.45, 0.0), (0.52 * hollow, 0.85 * hollow)), FLUID)
    else:
        x = np.linspace(0.25, 1.2, 9)
        canvas.surface(np.stack([x, 0 * x], 1), 0.032, paint(140, mirror=182), floor=0.35)
        for side in (-1, 1):
            width = 0.15 if wrong.is_label("rachischisis") else 0.08
            canvas.blob((0.5, side * 0.25), (0.20, width), FLUID, turn=0.5 * side)
    loss = float(np.interp(patient.weeks, [11, 20, 38], [60, 88, 130]))
    weights = np.ones(len(dome))
    if wrong.is_label("encephalocele"):
        weights[22:29] = 0.0
    bone = paint(150, loss=loss, mirror=244 + patient.skull_db * 2.2)
    canvas.surface(dome, 0.06, bone, weights=weights)
    for side in (-1, 1):
        roof = arc((-0.02 + 0.03 * depth, side * 0.40), (0.24, 0.36), (-1.1, 1.1), n=11)
        canvas.surface(roof, 0.04, paint(150, loss=40, mirror=160))


def _draw_high_sac(canvas: Canvas, patient: Patient, wrong: Malformation) -> None:
    size = 0.26 + 0.36 * wrong.severity
    centre = (1.18 + 0.7 * size, 0.0)
    wall = arc(centre, (size, size * 0.92), n=36)
    canvas.fill(wall, FLUID)
    if wrong.solid > 0:
        share = size * (0.45 + 0.35 * wrong.solid)
        canvas.blob(centre, (share, share), paint(patient.brain_tone + 18, loss=2))
    canvas.surface(wall, 0.035, paint(150, loss=6, mirror=178), closed=True, floor=0.3)


def _draw_stroma(canvas: Canvas, patient: Patient, wrong: Malformation, depth: float) -> None:
    bulk = 0.22 + 0.62 * wrong.severity
    for x, y, size, tone in wrong.lumps[:7]:
        spot = (0.18 + bulk * (0.45 + 0.45 * x), y * 0.62 + 0.05 * depth)
        big = bulk * (0.32 + 0.12 * size) + 0.08
        canvas.lump(spot, big, paint(patient.brain_tone + 24 + 20 * tone, loss=4), size)
        fold = arc(spot, (0.18, 0.11), (size, size + 2.4), turn=3 * tone, n=9)
        canvas.stroke(fold, 0.022, paint(patient.brain_tone + 60))
    for x, y, size, _ in wrong.lumps[1::3]:
        canvas.lump((0.2 + bulk * (0.4 + 0.3 * x), y * 0.4), 0.08 + 0.04 * size, FLUID, x)
    ridge_y = np.linspace(-0.72, 0.72, 13)
    wave = 0.14 - 0.10 * np.abs(ridge_y) + 0.02 * np.sin(9 * ridge_y)
    canvas.surface(np.stack([wave, ridge_y], 1), 0.055, paint(160, loss=70, mirror=196), floor=0.2)


def _draw_orbits(canvas: Canvas, patient: Patient, wrong: Malformation, depth: float) -> None:
    apart = 0.40 - (0.20 * wrong.severity + 0.06 if wrong.is_label("holoprosencephaly") else 0.0)
    bulge = 1.25 if wrong.is_label("anencephaly") else 1.0
    open_wide = 0.9 - 0.15 * abs(depth)
    for side in (-1, 1):
        eye = (-0.08 + 0.06 * (bulge - 1), side * apart)
        r = 0.215 * bulge * open_wide
        canvas.blob(eye, (r * 1.15, r * 1.15), paint(150, loss=14))
        canvas.blob(eye, (r, r), FLUID)
        rim = arc(eye, (r * 1.12, r * 1.12), n=21)
        canvas.surface(rim, 0.04, paint(148, loss=40, mirror=188), floor=0.15)
        if patient.weeks > 13:
            canvas.surface(arc(eye, (0.06, 0.07), n=13), 0.014, paint(92, mirror=142), floor=0.02)


def _draw_jaws(canvas: Canvas, patient: Patient, depth: float) -> None:
    nose = np.array([[0.0, 0.0], [-0.18, 0.03], [-0.34, 0.0]])
    canvas.surface(nose, 0.06, paint(170, loss=60, mirror=192), floor=0.5)
    gum = arc((-0.62, 0.0), (0.16, 0.34), (-1.4, 1.4), n=15)
    canvas.surface(gum, 0.07, paint(165, loss=90, mirror=192), floor=0.2)
    tongue = (-0.80, 0.0)
    canvas.blob(tongue, (0.10, 0.22), paint(patient.tissue_tone - 50))
    chin = arc((-0.78, 0.0), (0.34, 0.42), (np.pi - 1.2, np.pi + 1.2), n=15)
    canvas.surface(chin, 0.07, paint(165, loss=90, mirror=190 - 20 * abs(depth)), floor=0.2)
