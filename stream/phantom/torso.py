"""What else passes under the probe: the fetal abdomen and a thigh, the same for every class."""

import numpy as np

from neurosono.stream.phantom.canvas import FLUID, Canvas, arc, paint
from neurosono.stream.phantom.patient import Patient


def draw_abdomen(canvas: Canvas, patient: Patient, off: float) -> None:
    """Draw a transverse abdomen: stomach, umbilical vein, ribs, spine."""
    wall = arc((0.0, 0.0), (1.08, 1.0), n=48)
    canvas.fill(wall, paint(patient.tissue_tone - 10, loss=4))
    canvas.surface(
        wall, 0.045, paint(patient.tissue_tone + 20, mirror=165), closed=True, floor=0.35
    )
    canvas.blob((0.42, 0.35 + 0.1 * off), (0.24, 0.18), FLUID, turn=0.5)
    vein = arc((-0.2, 0.1), (0.42, 0.32), (-0.6, 1.3), n=13)
    canvas.stroke(vein, 0.09, FLUID)
    canvas.blob((0.1, -0.62), (0.12, 0.10), paint(175, loss=110, mirror=212))
    for side in (-1, 1):
        canvas.blob((0.1 + side * 0.15, -0.76), (0.06, 0.05), paint(175, loss=110, mirror=208))
        rib = arc(
            (0.0, 0.0), (0.96, 0.88), (-np.pi / 2 + side * 0.5, -np.pi / 2 + side * 1.7), n=17
        )
        canvas.surface(rib, 0.05, paint(165, loss=100, mirror=195))


def draw_femur(canvas: Canvas, patient: Patient, off: float) -> None:
    """Draw a thigh along the femur: a bright bar with a shadow below it, in soft tissue."""
    canvas.blob((0.0, 0.0), (1.35, 0.42), paint(patient.tissue_tone - 18, loss=3))
    x = np.linspace(-0.78, 0.78, 15)
    shaft = np.stack([x, 0.05 * (x / 0.78) ** 2 + 0.04 * off], 1)
    canvas.surface(shaft, 0.10, paint(180, loss=220, mirror=232), floor=0.5)
    skin = arc((0.0, 0.0), (1.35, 0.42), n=40)
    canvas.surface(skin, 0.04, paint(patient.tissue_tone + 10, mirror=190), closed=True)
