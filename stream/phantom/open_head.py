"""The skull base, and what anencephaly leaves above it."""

import numpy as np

from neurosono.stream.phantom.canvas import FLUID, Canvas, arc, paint
from neurosono.stream.phantom.patient import Malformation, Patient
from neurosono.stream.phantom.skull import bump, level_scale


def draw_skull_base(canvas: Canvas, z: float) -> None:
    """Draw the petrous and sphenoid ridges, an X of bone, below the cerebellum."""
    here = bump(z, -0.95, 0.42)
    if here < 0.1:
        return
    s = level_scale(z)
    for side in (-1, 1):
        wing = np.array([[0.06, 0.07 * side], [0.34, 0.36 * side], [0.55, 0.72 * side]]) * s
        ridge = np.array([[-0.06, 0.08 * side], [-0.30, 0.34 * side], [-0.42, 0.74 * side]]) * s
        for bone in (wing, ridge):
            dense = np.stack(
                [np.interp(np.linspace(0, 2, 9), [0, 1, 2], bone[:, k]) for k in (0, 1)], 1
            )
            canvas.surface(
                dense, 0.07, paint(160, loss=55 * here, mirror=212 * here**0.4), floor=0.2
            )
    canvas.blob((0.0, 0.0), (0.10, 0.08), paint(190, loss=60 * here, mirror=160 * here))


def draw_open_head(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    """Draw what anencephaly leaves: irregular tissue in fluid, orbits and skull base below."""
    low = float(np.clip((0.10 - z) / 0.5, 0, 1))
    bulk = (0.74 + 0.34 * wrong.severity) * (0.8 + 0.2 * low)
    tone = patient.brain_tone + 24
    for x, y, size, shade in wrong.lumps:
        drift = 0.10 * np.sin(4 * z + 9 * size)
        spot = (x * bulk * 0.75 + drift, y * bulk * 0.58 - drift)
        canvas.lump(
            spot, bulk * (0.42 + 0.12 * size), paint(tone + 20 * shade, loss=4), size + 0.2 * z
        )
    for x, y, size, shade in wrong.lumps:
        spot = (-y * bulk * 0.6, x * bulk * 0.5)
        canvas.lump(spot, 0.09 + 0.05 * size, paint(50 + 20 * shade), shade + 0.3 * z)
        fold = arc(spot, (0.22, 0.13), (size, size + 2.4), turn=3 * shade, n=9)
        canvas.stroke(fold, 0.022, paint(tone + 34))
    if low > 0.05:
        draw_base_remnant(canvas, patient, wrong, low)


def draw_base_remnant(canvas: Canvas, patient: Patient, wrong: Malformation, low: float) -> None:
    """Draw the skull base and the bulging orbits below a missing vault."""
    for x, y, size, shade in wrong.lumps[:4]:
        spot = (0.1 + 0.35 * x, 0.3 * y)
        canvas.lump(spot, (0.45 + 0.1 * size) * low, paint(patient.brain_tone + 36, loss=5), shade)
    draw_skull_base(canvas, -0.95 + 0.2 * (1 - low))
    for side in (-1, 1):
        eye = (0.70, side * 0.40)
        canvas.blob(eye, (0.34 * low, 0.33 * low), paint(patient.tissue_tone, loss=10))
        canvas.blob(eye, (0.24 * low, 0.23 * low), FLUID)
        rim = arc(eye, (0.28 * low, 0.27 * low), n=21)
        canvas.surface(rim, 0.04, paint(148, loss=40, mirror=192 * low), floor=0.15)
        canvas.surface(
            arc((0.80, side * 0.41), (0.07, 0.08), n=12), 0.014, paint(92, mirror=142), floor=0.02
        )
