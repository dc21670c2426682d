"""The posterior fossa in an axial slice: cerebellum, cisterna magna, fourth ventricle."""

import numpy as np

from neurosono.engine.patterns.names import MEGA_CISTERNA, OPEN_FOURTH
from neurosono.engine.structures.names import CEREBELLUM, CISTERNA_MAGNA
from neurosono.stream.phantom.canvas import FLUID, Canvas, arc, paint
from neurosono.stream.phantom.findings import WELL_SHOWN
from neurosono.stream.phantom.patient import Malformation, Patient
from neurosono.stream.phantom.skull import bump, level_scale


def draw_cerebellum(canvas: Canvas, patient: Patient, wrong: Malformation, z: float) -> None:
    """Draw the posterior fossa: a dumb-bell in front of the cisterna magna, or a banana."""
    here = bump(z, -0.46, 0.34)
    if here < 0.15:
        return
    back = -level_scale(z) / patient.cephalic_index
    size = 0.55 + 0.45 * here
    if wrong.is_label("rachischisis"):
        _draw_banana(canvas, patient, back, size)
        return
    deep = _widen_cisterna(patient) * size
    open_ = patient.shows(OPEN_FOURTH)
    middle, reach = (back + 0.36 + deep / 2, 0.0), (0.30 + deep / 2, (0.55 + deep / 2) * size)
    canvas.blob(middle, reach, paint(FLUID[0] + 10))
    fluid = arc(middle, reach, n=60)
    # where the lobes' backs curve away from the fluid
    behind = fluid[fluid[:, 0] <= back + 0.50 + deep - 0.17 * size]
    wide = patient.shows(MEGA_CISTERNA)
    if not wide or here >= WELL_SHOWN:
        canvas.mark(MEGA_CISTERNA if wide else CISTERNA_MAGNA, behind)
    across = (0.285 + (0.07 if open_ else 0.0)) * size
    places = [(back + 0.50 + deep, k * across) for k in (-1, 1)]
    canvas.mark_hull(CEREBELLUM, *(arc(at, (0.235 * size, 0.285 * size)) for at in places))
    for lobe in places:
        _draw_lobe(canvas, patient, lobe, size)
    if open_:
        _draw_open_fourth(canvas, patient, back, size, told=here >= 0.5)
    else:
        canvas.blob((back + 0.49 + deep, 0.0), (0.16 * size, 0.10), paint(200))


def _draw_banana(canvas: Canvas, patient: Patient, back: float, size: float) -> None:
    """Draw a cerebellum that is bent about the brain stem, and no cisterna magna."""
    curve = arc((back + 0.62, 0.0), (0.50, 0.62 * size), (np.pi - 1.25, np.pi + 1.25), n=19)
    canvas.stroke(curve, 0.23 * size, paint(patient.brain_tone + 58))
    canvas.stroke(curve, 0.15 * size, paint(patient.brain_tone + 2))
    rims = [(0.50 + k, 0.62 * size + k) for k in (0.115 * size, -0.115 * size)]
    ends = (np.pi - 1.25, np.pi + 1.25)
    outer, inner = (arc((back + 0.62, 0.0), rim, ends, n=19) for rim in rims)
    canvas.mark(CEREBELLUM, np.vstack([outer, inner[::-1]]))


def _widen_cisterna(patient: Patient) -> float:
    """Return by how much a mega cisterna magna is deeper than one that is as it should be.

    The vermis stands 0.27 units before the bone; the finding is at least 11 mm deep, over the 10 mm
    of ISUOG 2020, and plainly deeper than this fetus's would be.
    """
    if patient.finding is None or not patient.shows(MEGA_CISTERNA):
        return 0.0
    depth = (11.0 + 4.0 * patient.finding.size) / patient.unit_mm
    return max(depth - 0.27, 0.12)


def _draw_lobe(canvas: Canvas, patient: Patient, lobe: tuple[float, float], size: float) -> None:
    """Draw one hemisphere of the cerebellum with its folia."""
    canvas.blob(lobe, (0.235 * size, 0.285 * size), paint(patient.brain_tone + 46))
    canvas.blob(lobe, (0.185 * size, 0.235 * size), paint(patient.brain_tone + 2))
    rim = arc(lobe, (0.23 * size, 0.28 * size), n=25)
    canvas.surface(rim, 0.016, paint(140, mirror=128), floor=0.1)
    for r in (0.08, 0.15):
        folia = arc(lobe, (r * size, r * 1.3 * size), (1.8, 4.5), n=8)
        canvas.stroke(folia, 0.016, paint(patient.brain_tone + 44))


def _draw_open_fourth(
    canvas: Canvas, patient: Patient, back: float, size: float, *, told: bool
) -> None:
    """Draw a fourth ventricle that is open to the cisterna magna: fluid where the vermis ends."""
    assert patient.finding is not None
    gape = (0.075 + 0.055 * patient.finding.size) * size
    front, rear = back + 0.50 + 0.19 * size, back + 0.50 - 0.24 * size
    key = np.array(
        [
            (rear, -1.15 * gape),
            (back + 0.50, -0.8 * gape),
            (front, -1.25 * gape),
            (front + 0.05, 0.0),
            (front, 1.25 * gape),
            (back + 0.50, 0.8 * gape),
            (rear, 1.15 * gape),
        ]
    )
    canvas.fill(key, FLUID)
    if told:
        canvas.mark(OPEN_FOURTH, key)
