"""The vault in an axial slice: its outline, its bone, the lemon sign, the sac through its wall."""

import numpy as np

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.structures.names import HEAD
from neurosono.stream.phantom.canvas import FLUID, Canvas, Points, arc, paint
from neurosono.stream.phantom.patient import Malformation, Patient

OUTLINE_POINTS = 84


def bump(z: float, centre: float, width: float) -> float:
    """Return 1 at `centre`, falling smoothly to 0 at a distance of `width` and beyond."""
    d = abs(z - centre) / width
    return 0.0 if d >= 1 else float(0.5 + 0.5 * np.cos(np.pi * d))


def level_scale(z: float) -> float:
    """Return how wide the head is at level `z` (-1 skull base, 0 thalami, 1 vertex)."""
    return float(np.sqrt(max(0.12, 1 - ((z - 0.0) * 0.72) ** 2)))


def lemon_depth(patient: Patient, wrong: Malformation) -> float:
    """Return how far the frontal bones are scalloped: rachischisis only, fading after 26 weeks."""
    if not wrong.is_label("rachischisis"):
        return 0.0
    late = float(np.interp(patient.weeks, [26, 34], [1.0, 0.6]))
    return (0.115 + 0.07 * wrong.severity) * late


def vault_outline(patient: Patient, wrong: Malformation, z: float) -> Points:
    """Return the vault's outer outline at level `z`, (84, 2), front along +x."""
    phi = np.linspace(-np.pi, np.pi, OUTLINE_POINTS, endpoint=False)
    m = patient.molding
    r = (
        1
        + m[0] * np.cos(2 * phi)
        + m[1] * np.sin(2 * phi)
        + m[2] * np.cos(3 * phi)
        + m[3] * np.sin(phi)
    )
    lemon = lemon_depth(patient, wrong)
    r = (
        r
        - lemon * np.exp(-(((np.abs(phi) - 0.80) / 0.38) ** 2))
        + 0.35 * lemon * np.exp(-((phi / 0.3) ** 2))
    )
    x = np.cos(phi) / patient.cephalic_index
    y = np.sin(phi) * (1 - 0.07 * np.cos(phi))
    small = 1 - 0.12 * wrong.severity if wrong.is_label("encephalocele") else 1.0
    scale = (r * level_scale(z) * small)[:, None]
    return np.stack([x, y], axis=1) * scale


def bone_weights(patient: Patient, wrong: Malformation) -> Floats:
    """Return how much bone each segment of the outline holds: sutures thin it, a defect ends it."""
    phi = np.linspace(-np.pi, np.pi, OUTLINE_POINTS, endpoint=False)
    weight = np.ones(OUTLINE_POINTS)
    for suture, depth in ((0.95, 0.55), (-0.95, 0.55), (2.3, 0.4), (-2.3, 0.4)):
        weight -= depth * np.exp(-(((phi - suture) / 0.07) ** 2))
    if wrong.is_label("encephalocele"):
        off = np.angle(np.exp(1j * (phi - wrong.angle_rad)))
        weight[np.abs(off) < defect_half_angle(wrong)] = 0.0
    young = float(np.interp(patient.weeks, [11, 14, 18], [0.6, 0.85, 1.0]))
    return weight * young


def defect_half_angle(wrong: Malformation) -> float:
    """Return half the angle of the skull defect that an encephalocele leaves by, in radians."""
    return 0.11 + 0.15 * wrong.severity


def sac_size(wrong: Malformation) -> float:
    """Return the radius of an encephalocele's sac at its widest level, in half-BPD units."""
    return 0.42 + 0.32 * wrong.severity


def aim(wrong: Malformation) -> tuple[float, float]:
    """Return what a sonographer puts in the middle: the head, or the head and its sac."""
    if not wrong.is_label("encephalocele"):
        return 0.0, 0.0
    reach = 0.8 * sac_size(wrong)
    return float(np.cos(wrong.angle_rad)) * reach, float(np.sin(wrong.angle_rad)) * reach


def draw_scalp_and_brain(canvas: Canvas, patient: Patient, outline: Points) -> None:
    """Fill scalp and brain inside the outline."""
    canvas.fill(outline * 1.07, paint(patient.tissue_tone - 22, loss=4))
    canvas.fill(outline, paint(40))
    canvas.fill(outline * 0.94, paint(patient.brain_tone, loss=2))


def draw_bone(canvas: Canvas, patient: Patient, wrong: Malformation, outline: Points) -> None:
    """Draw the vault's bone over what it holds."""
    thick = float(np.interp(patient.weeks, [11, 20, 38], [0.075, 0.07, 0.062]))
    loss = float(np.interp(patient.weeks, [11, 20, 38], [60, 88, 130]))
    bright = 246 + patient.skull_db * 2.2
    radius = np.hypot(*outline.T)[:, None]
    canvas.mark(HEAD, outline * (1 + thick / 2 / radius))  # the bone's outer edge
    canvas.surface(
        outline,
        thick,
        paint(150, loss=loss, mirror=bright),
        closed=True,
        floor=0.10,
        weights=bone_weights(patient, wrong),
    )


def draw_sac(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    """Draw an encephalocele's sac, its neck through the defect, and what herniates into it."""
    outline = vault_outline(patient, wrong, z)
    k = round((wrong.angle_rad + np.pi) / (2 * np.pi) * OUTLINE_POINTS) % OUTLINE_POINTS
    way = np.array([np.cos(wrong.angle_rad), np.sin(wrong.angle_rad)])
    size = sac_size(wrong) * (0.8 + 0.2 * bump(z, -0.25, 0.9))
    gate = outline[k]
    middle = gate + way * size * 0.86
    turn = float(wrong.angle_rad)
    here = (float(middle[0]), float(middle[1]))
    wall = arc(here, (size, size * 0.88), turn=turn, n=44)
    canvas.fill(arc(here, (size * 1.16, size * 1.05), turn=turn, n=44), FLUID)
    canvas.fill(wall, paint(patient.tissue_tone - 30, loss=3))
    canvas.fill(arc(here, (size * 0.9, size * 0.78), turn=turn), FLUID)
    neck = defect_half_angle(wrong) * float(np.hypot(*gate)) * 0.95
    side = np.array([-way[1], way[0]]) * neck
    inner = paint(patient.brain_tone + 14, loss=2) if wrong.solid > 0 else FLUID
    canvas.fill(
        np.array([gate - way * 0.2 - side, gate - way * 0.2 + side, middle + side, middle - side]),
        inner,
    )
    if wrong.solid > 0:
        _draw_herniated_brain(canvas, patient, wrong, here, size)
    canvas.surface(wall, 0.03, paint(145, loss=6, mirror=186), closed=True, floor=0.25)


def _draw_herniated_brain(
    canvas: Canvas,
    patient: Patient,
    wrong: Malformation,
    centre: tuple[float, float],
    size: float,
) -> None:
    share = size * (0.45 + 0.35 * wrong.solid)
    tone = patient.brain_tone + 16
    canvas.blob(centre, (share, share * 0.85), paint(tone, loss=2), turn=float(wrong.angle_rad))
    for x, y, s, _ in wrong.lumps[:5]:
        spot = (centre[0] + x * share * 0.55, centre[1] + y * share * 0.5)
        fold = arc(spot, (share * 0.3, share * 0.2), (s, s + 2.6), turn=3 * s, n=9)
        canvas.stroke(fold, 0.025, paint(tone + 62))
