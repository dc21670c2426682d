"""The two planes, the regions that are cut from each, and the words for a verdict.

The paper (Ramirez Zegarra et al. 2026, doi 10.1148/ryai.250737) has six regions of a
transventricular and a transcerebellar plane and does not say which: these six are ours.
"""

from dataclasses import dataclass

from neurosono.engine.structures.names import (
    CEREBELLUM,
    CISTERNA_MAGNA,
    CSP,
    FALX,
    LV,
    PLEXUS,
    THALAMI,
    TRANSCEREBELLAR,
    TRANSVENTRICULAR,
)

PLANES = (TRANSVENTRICULAR, TRANSCEREBELLAR)
PLANE_WORDS = {TRANSVENTRICULAR: "transventricular", TRANSCEREBELLAR: "transcerebellar"}

NORMAL, ABNORMAL = "normal", "abnormal"
VERDICTS = (NORMAL, ABNORMAL)

ATRIUM = "atrium"


@dataclass(frozen=True)
class Region:
    """A region: the structure whose box it is cut about, and how much of the head it spans.

    `span` is the side of its square over the head's length. `place` is where it lies in a normal
    head, for a picture in which its structure is not found: half lengths from the head's middle to
    the front, half widths to the side.
    """

    name: str
    plane: str
    structure: str
    span: float
    place: tuple[float, float]


REGIONS = (
    Region(CSP, TRANSVENTRICULAR, CSP, 0.36, (0.50, 0.0)),
    Region(ATRIUM, TRANSVENTRICULAR, LV, 0.60, (-0.22, 0.0)),
    Region(FALX, TRANSVENTRICULAR, FALX, 0.90, (0.0, 0.0)),
    Region(CEREBELLUM, TRANSCEREBELLAR, CEREBELLUM, 0.60, (-0.55, 0.0)),
    Region(CISTERNA_MAGNA, TRANSCEREBELLAR, CISTERNA_MAGNA, 0.40, (-0.85, 0.0)),
    Region(THALAMI, TRANSCEREBELLAR, THALAMI, 0.50, (-0.05, 0.0)),
)
"""Spans by the phantom's own anatomy: each holds its structure at its widest with a rim."""

MEASURED = {
    TRANSVENTRICULAR: (CSP, LV, PLEXUS, FALX),
    TRANSCEREBELLAR: (CEREBELLUM, CISTERNA_MAGNA, THALAMI, CSP),
}
"""Structures of each plane whose presence, place and size are given to the network as numbers."""

FRONT = {CSP: 0.5, LV: -0.2, PLEXUS: -0.35, CEREBELLUM: -0.55, CISTERNA_MAGNA: -0.85}
"""How far to the front each lies, in half lengths: what tells which end of the head is which."""


def regions_of(plane: str) -> tuple[Region, ...]:
    """Return the regions of a plane, in their order."""
    return tuple(each for each in REGIONS if each.plane == plane)
