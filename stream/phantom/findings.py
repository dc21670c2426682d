"""Finding patterns of a head that is otherwise normal: who can have one, and how cysts are drawn.

The others are drawn where the structure that they change is drawn (`head`).
"""

from dataclasses import dataclass, replace

import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.names import (
    MILD_WIDTH,
    OTHER_CYST,
    SEVERE_WIDTH,
    VENTRICLE_CYST,
)
from neurosono.stream.phantom.canvas import FLUID, Canvas, Points, arc, paint
from neurosono.stream.phantom.patient import Finding, Patient, random_stream

FINDING_WEEKS = (18.0, 26.0)
"""The age of the second-trimester examination. A millimetre looks the less the larger the head: far
beyond these weeks what is drawn as 10 mm looks as narrow as 7 mm did before."""

WELL_SHOWN = 0.8
"""How near to its own level, 0 to 1, a structure is cut where its size is told."""

_WIDTHS_MM = {MILD_WIDTH: (10.6, 14.4), SEVERE_WIDTH: (15.8, 20.0)}
_NORMAL_WIDTH_MM = (5.0, 8.5)
"""The atrium is 7.6 mm, with a standard deviation of 0.6 mm, all pregnancy long (Cardoza 1988)."""
_CYST_REACH = 0.55
"""How far above and below its middle a cyst is still cut, in half-BPD units."""


@dataclass(frozen=True)
class _Place:
    """Where a cyst of the brain may lie (the side is drawn), and how large it can be there."""

    x: tuple[float, float]
    y: tuple[float, float]
    radius: tuple[float, float]


_PLACES = (
    _Place((-0.25, 0.40), (0.64, 0.69), (0.16, 0.23)),  # at the Sylvian fissure
    _Place((0.70, 0.80), (0.28, 0.38), (0.15, 0.21)),  # frontal
    _Place((-0.66, -0.52), (0.0, 0.03), (0.14, 0.20)),  # between the hemispheres
)


def suits_finding(patient: Patient) -> bool:
    """Return whether the fetus is of an age at which findings are drawn."""
    return FINDING_WEEKS[0] <= patient.weeks <= FINDING_WEEKS[1]


def give_finding(
    patient: Patient, finding: Finding, room_mm: float, rng: np.random.Generator
) -> Patient:
    """Return the patient with a finding, or with none, and ventricles that go with it.

    Raises `InputError` where the fetus is too young or too old, or its head, with room for
    ventricles of `room_mm`, too small for it.
    """
    if not suits_finding(patient):
        low, high = FINDING_WEEKS
        raise InputError(
            f"findings are drawn at {low:g} to {high:g} weeks, this fetus is of "
            f"{patient.weeks:.0f}: choose another seed"
        )
    low, high = _WIDTHS_MM.get(finding.name, _NORMAL_WIDTH_MM)
    if low > room_mm:
        raise InputError(
            f"the head of this phantom has room for ventricles of {room_mm:.1f} mm, not for "
            f"{finding.name}: choose another seed"
        )
    width_mm = float(rng.uniform(low, min(high, room_mm)))
    return replace(patient, finding=finding, ventricle_mm=width_mm)


def draw_finding(name: str, namespace: str, seed: int, patient: int) -> Finding:
    """Return how a finding shows in this patient; the same draw serves every finding."""
    rng = random_stream(namespace, seed, patient, "finding")
    return Finding(
        name=name,
        size=float(rng.uniform(0, 1)),
        side=int(rng.choice([-1, 1])),
        both=bool(rng.random() < 0.4),
        way=int(rng.integers(6)),
        spot=(float(rng.uniform(0, 1)), float(rng.uniform(0, 1))),
        level=float(rng.uniform(-0.1, 0.45)),
    )


def draw_ventricle_cyst(
    canvas: Canvas, patient: Patient, side: int, middle: tuple[float, float], half: float
) -> None:
    """Draw a cyst into the plexus about `middle` of a ventricle that is 2 `half` wide."""
    finding = patient.finding
    if finding is None or finding.name != VENTRICLE_CYST:
        return
    if side != finding.side and not finding.both:
        return
    across = half * (0.74 + 0.24 * finding.size)
    along = across * (1.25 + 0.8 * finding.spot[0])
    centre = (middle[0] + 0.16 * (finding.spot[1] - 0.5), middle[1])
    _draw_cyst(canvas, VENTRICLE_CYST, arc(centre, (along, across), turn=-0.2 * side, n=32))


def draw_other_cyst(canvas: Canvas, patient: Patient, z: float) -> None:
    """Draw a cyst of the brain outside of the ventricles, where level `z` cuts it."""
    finding = patient.finding
    if finding is None or finding.name != OTHER_CYST:
        return
    away = (z - finding.level) / _CYST_REACH
    if abs(away) > 0.8:  # what is left of it is a dot
        return
    place = _PLACES[finding.way % len(_PLACES)]
    radius = np.interp(finding.size, (0, 1), place.radius) * np.sqrt(1 - away**2)
    x = float(np.interp(finding.spot[0], (0, 1), place.x))
    y = float(np.interp(finding.spot[1], (0, 1), place.y)) * finding.side
    radii = (float(radius) * (1.05 + 0.3 * finding.spot[1]), float(radius))
    _draw_cyst(canvas, OTHER_CYST, arc((x, y), radii, turn=finding.spot[0] - 0.5, n=32))


def _draw_cyst(canvas: Canvas, name: str, outline: Points) -> None:
    canvas.fill(outline, FLUID)
    canvas.surface(outline, 0.015, paint(134, mirror=164), closed=True, floor=0.3)
    canvas.mark(name, outline)
