"""The brain in an axial slice, from the skull base to the vertex, for each of the classes."""

from dataclasses import replace

import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.names import (
    NO_CSP,
    SINGLE_VENTRICLE,
    name_width,
)
from neurosono.engine.structures.names import (
    CSP,
    FALX,
    LV,
    PLEXUS,
    THALAMI,
)
from neurosono.stream.phantom.canvas import FLUID, Canvas, arc, paint
from neurosono.stream.phantom.findings import WELL_SHOWN, draw_other_cyst, draw_ventricle_cyst
from neurosono.stream.phantom.fossa import draw_cerebellum
from neurosono.stream.phantom.open_head import draw_open_head, draw_skull_base
from neurosono.stream.phantom.patient import Malformation, Patient
from neurosono.stream.phantom.skull import (
    bump,
    draw_bone,
    draw_sac,
    draw_scalp_and_brain,
    level_scale,
    vault_outline,
)

_CSP_SEEN_WEEKS = 16.0
"""The cavum septi pellucidi is looked for from about 16 weeks on."""

_WIDEST_VENTRICLE = 0.84
"""The widest ventricle that fits between falx and skull as they are drawn, in half-BPD units."""

_SINGLE_FROM = -0.3
"""The level below which a single ventricle is not told: there it hides behind the cerebellum."""

_FALX_HALF = 0.06
"""Half the width that is marked as falx, 3 mm in all at 20 weeks. Its line is 0.024 wide and
wavers: drawn to its edges, a box's overlap would measure speckle and no place."""


def draw_head(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    """Draw the axial slice of the head at level `z`."""
    if wrong.is_label("anencephaly"):
        draw_open_head(canvas, patient, wrong, z)
        return
    outline = vault_outline(patient, wrong, z)
    if wrong.is_label("encephalocele"):
        draw_sac(canvas, patient, wrong, z)
    draw_scalp_and_brain(canvas, patient, outline)
    if wrong.is_label("encephalocele"):
        _reopen_neck(canvas, patient, wrong, z)
    draw_cortex(canvas, patient, z)
    if wrong.is_label("holoprosencephaly") or patient.shows(SINGLE_VENTRICLE):
        draw_monoventricle(canvas, patient, wrong, z)
    else:
        draw_midline(canvas, patient, z)
        draw_ventricles(canvas, patient, wrong, z)
        draw_thalami(canvas, patient, z)
    draw_cerebellum(canvas, patient, wrong, z)
    draw_skull_base(canvas, z)
    draw_other_cyst(canvas, patient, z)
    draw_bone(canvas, patient, wrong, outline)


def _reopen_neck(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    outline = vault_outline(patient, wrong, z)
    k = round((wrong.angle_rad + np.pi) / (2 * np.pi) * len(outline)) % len(outline)
    gate = outline[k]
    reach = 0.10 + 0.10 * wrong.severity
    colour = paint(patient.brain_tone + 14, loss=2) if wrong.solid > 0 else FLUID
    canvas.blob((float(gate[0]), float(gate[1])), (0.2, reach), colour, turn=float(wrong.angle_rad))


def draw_cortex(canvas: Canvas, patient: Patient, z: float) -> None:
    """Draw the surface of the brain: Sylvian fissures, and sulci once they have grown in."""
    s = level_scale(z)
    sulci = int(np.interp(patient.weeks, [20, 26, 38], [0, 4, 11]))
    for side in (-1, 1):
        here = bump(z, 0.0, 0.7)
        if here > 0.1:
            depth = 0.66 if patient.weeks > 20 else 0.72
            fissure = arc((0.12, side * depth * s), (0.34, 0.09), (0.4, 2.8), 0.05 * side, 11)
            canvas.surface(fissure, 0.035, paint(130, mirror=168 * here))
        for k in range(sulci):
            phi = side * (0.45 + 2.25 * (k + 0.5) / sulci)
            rim = np.array([np.cos(phi) / patient.cephalic_index, np.sin(phi)]) * s
            bend = 0.06 * np.sin(7.3 * k + side)
            fold = np.stack(
                [rim * 0.93, rim * 0.86 + bend * 0.5, rim * (0.79 - 0.03 * (k % 3)) + bend]
            )
            canvas.stroke(fold, 0.022, paint(150, mirror=125))


def draw_midline(canvas: Canvas, patient: Patient, z: float) -> None:
    """Draw the falx and, in front, the box of the cavum septi pellucidi, or what is there without.

    Without a cavum the midline runs on, or, in one of three, the frontal horns are one.
    """
    s = level_scale(z) / patient.cephalic_index
    bent = patient.molding[0] * 2
    level = bump(z, 0.25, 1.1)
    front, back = 0.92 * s, -0.92 * s if z > -0.15 else -0.30 * s
    cut = patient.weeks > _CSP_SEEN_WEEKS and bump(z, 0.15, 0.42) > 0.25
    csp, missing = cut and not patient.shows(NO_CSP), cut and patient.shows(NO_CSP)
    fused = missing and patient.finding is not None and patient.finding.way % 3 == 0
    gap = csp or fused
    spans = [(front, 0.66 * s), (0.36 * s, back)] if gap else [(front, back)]
    colour = paint(140, loss=5, mirror=194 * (0.7 + 0.3 * level))
    for start, stop in spans:
        x = np.linspace(start, stop, 17)
        line = np.stack([x, bent * np.sin(2.1 * x)], axis=1)
        # The falx is not one even line: it comes and goes with the slice.
        broken = 0.62 + 0.38 * np.sin(6.5 * x + 40 * bent + 3 * z)
        canvas.surface(line, 0.024, colour, floor=0.25, weights=broken)
    x = np.linspace(front, back, 33)
    bow = np.stack([x, bent * np.sin(2.1 * x)], axis=1)
    beside = np.array([0.0, _FALX_HALF])
    canvas.mark(FALX, np.vstack([bow - beside, (bow + beside)[::-1]]))
    half = 0.075 + 0.02 * patient.maturity
    place = _box(0.36 * s, 0.66 * s, half)
    if fused:
        _draw_fused_horns(canvas, s)
    elif missing:
        canvas.mark(NO_CSP, place)
    if not csp:
        return
    canvas.fill(place, FLUID)
    canvas.mark(CSP, place)
    for side in (-1, 1):
        wall = np.array([[0.38 * s, side * half], [0.5 * s, side * half], [0.64 * s, side * half]])
        canvas.surface(wall, 0.026, paint(140, mirror=190), floor=0.3)


def _draw_fused_horns(canvas: Canvas, s: float) -> None:
    """Draw frontal horns that are one, as they are without a septum."""
    horns = arc((0.53 * s, 0.0), (0.15 * s, 0.27), n=36)
    canvas.fill(horns, FLUID)
    canvas.surface(horns, 0.022, paint(128, mirror=150), closed=True)
    canvas.mark(NO_CSP, horns)


def _box(x0: float, x1: float, half: float) -> np.ndarray:
    return np.array([[x0, -half], [x1, -half * 0.8], [x1, half * 0.8], [x0, half]])


def widest_ventricle_mm(patient: Patient) -> float:
    """Return how wide a lateral ventricle this head has room for."""
    return _WIDEST_VENTRICLE * patient.unit_mm


def size_ventricles(patient: Patient, width_mm: float | None) -> Patient:
    """Return the patient with ventricles of this width; raise `InputError` if it has no room."""
    widest = widest_ventricle_mm(patient)
    if width_mm is not None and width_mm > widest:
        raise InputError(
            f"the head of this phantom, {patient.bpd_mm:.0f} mm wide, holds ventricles up to "
            f"{widest:.1f} mm, not {width_mm:g} mm: choose another seed"
        )
    return replace(patient, ventricle_mm=width_mm)


def draw_ventricles(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    """Draw both lateral ventricles with their choroid plexus; wide ones in rachischisis."""
    here = bump(z, 0.38, 0.62)
    if here < 0.12:
        return
    grown = 1.0
    if wrong.is_label("rachischisis"):
        grown = 1.35 + 0.8 * wrong.severity
    young = 1 - patient.maturity
    half = (0.11 + 0.17 * young) * patient.ventricle * grown * (0.55 + 0.45 * here)
    half = min(half, 0.30)
    if patient.ventricle_mm is not None:
        half = patient.ventricle_mm / 2 / patient.unit_mm * (0.55 + 0.45 * here)
    for side in (-1, 1):
        y = side * (0.36 + 0.30 * (half - 0.11))
        body = arc((-0.30, y), (0.62, half), turn=-0.16 * side, n=30)
        canvas.fill(body, FLUID)
        canvas.mark(LV, body)
        wide = name_width(2 * half * patient.unit_mm)
        if wide is not None and here >= WELL_SHOWN:
            canvas.mark(wide, body)
        horn = arc((0.55, side * 0.17), (0.22, 0.05 * grown * patient.ventricle), turn=0.35 * side)
        canvas.fill(horn, FLUID)
        outer, inner = (body[3:14], body[17:28]) if side > 0 else (body[17:28], body[3:14])
        canvas.surface(outer, 0.022, paint(128, mirror=150))
        canvas.surface(inner, 0.022, paint(128, mirror=176))
        plump = 0.55 + 0.40 * young
        plexus = arc(
            (-0.42, y - 0.03 * side), (0.30 + 0.16 * young, half * plump), turn=-0.2 * side
        )
        canvas.fill(plexus, paint(186))
        canvas.mark(PLEXUS, plexus)
        draw_ventricle_cyst(canvas, patient, side, (-0.42, y - 0.03 * side), half)


def draw_thalami(canvas: Canvas, patient: Patient, z: float) -> None:
    """Draw the two thalami, darker than the brain around them, and the slit between them."""
    here = bump(z, -0.08, 0.42)
    if here < 0.15:
        return
    rim = paint(patient.brain_tone + 26 * here)
    for side in (-1, 1):
        canvas.blob((-0.06, side * 0.20), (0.31, 0.185), rim, turn=0.45 * side)
        canvas.blob(
            (-0.06, side * 0.20), (0.27, 0.15), paint(patient.brain_tone - 18), turn=0.45 * side
        )
    canvas.mark_hull(
        THALAMI, *(arc((-0.06, k * 0.20), (0.31, 0.185), turn=0.45 * k) for k in (-1, 1))
    )
    slit = np.array([[-0.30, 0.0], [-0.05, 0.012], [0.2, 0.0]])
    canvas.stroke(slit, 0.05, paint(30))
    canvas.surface(slit + np.array([0, 0.03]), 0.02, paint(130, mirror=160))
    canvas.surface(slit - np.array([0, 0.03]), 0.02, paint(130, mirror=160))


def draw_monoventricle(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    """Draw a single ventricle across the missing midline, wrapped about fused thalami."""
    alobar = wrong.severity > 0.4
    s = level_scale(z)
    size = (0.80 if alobar else 0.66) + 0.10 * wrong.severity
    top = bump(z, 0.45, 1.2)
    reach = size * (0.72 + 0.28 * top)
    centre = 0.18 if alobar else 0.30
    dome = arc((centre, 0.0), (0.72 * reach * s, 0.80 * reach * s), (-1.95, 1.95), n=30)
    tail = np.array([[-0.50 * s, 0.52 * reach], [-0.62 * s, 0.0], [-0.50 * s, -0.52 * reach]])
    if not alobar:
        tail = np.array([[-0.05, 0.44 * reach], [-0.10, 0.0], [-0.05, -0.44 * reach]])
    canvas.fill(np.vstack([dome, tail]), FLUID)
    if z >= _SINGLE_FROM:
        canvas.mark_hull(SINGLE_VENTRICLE, dome, tail)
    canvas.surface(dome, 0.026, paint(132, mirror=182))
    low = bump(z, -0.25, 0.95)
    thalamus = (-0.20 if alobar else -0.12, 0.0)
    radii = (0.22 + 0.16 * low, 0.26 + 0.14 * low)
    canvas.blob(thalamus, radii, paint(patient.brain_tone + 40))
    canvas.blob(thalamus, (radii[0] * 0.87, radii[1] * 0.87), paint(patient.brain_tone + 4))
    for side in (-1, 1):
        canvas.blob(
            (thalamus[0] - 0.04, side * radii[1] * 0.95), (0.17, 0.07), paint(182), turn=0.6 * side
        )
    if not alobar and z > -0.2:
        x = np.linspace(-0.62 * s, -0.95 * s / patient.cephalic_index, 7)
        canvas.surface(np.stack([x, 0 * x], 1), 0.03, paint(138, mirror=180), floor=0.35)
