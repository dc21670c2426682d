"""The finding patterns, by the names that users and files see.

Ours, after what Lin et al. 2022 (Ultrasound Obstet Gynecol, PAICS) publish of theirs: a pattern is
something that a picture shows, and no diagnosis.
"""

from neurosono.engine.structures.decode import PAIRED
from neurosono.engine.structures.names import STRUCTURES

NO_CSP = "non-visualised-csp"
MILD_WIDTH = "mild-ventriculomegaly"
SEVERE_WIDTH = "severe-ventriculomegaly"
SINGLE_VENTRICLE = "crescent-single-ventricle"
VENTRICLE_CYST = "intraventricular-cyst"
OTHER_CYST = "other-cyst"
OPEN_FOURTH = "open-fourth-ventricle"
MEGA_CISTERNA = "mega-cisterna-magna"

FINDINGS = (
    NO_CSP,
    MILD_WIDTH,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
    VENTRICLE_CYST,
    OTHER_CYST,
    OPEN_FOURTH,
    MEGA_CISTERNA,
)
LABELS = (*STRUCTURES, *FINDINGS)
"""What a bundle of the kind `patterns` finds: the normal structures first."""
TWOFOLD = (*PAIRED, MILD_WIDTH, SEVERE_WIDTH, VENTRICLE_CYST)
"""What a picture can show twice."""

WIDE_FROM_MM = 10.0
SEVERE_FROM_MM = 15.0
"""Of the atrium of a lateral ventricle: ISUOG 2020 (doi 10.1002/uog.22145), as ventriculomegaly is
commonly graded."""


def name_width(width_mm: float) -> str | None:
    """Return the finding that an atrium of this width is, None where it is as it should be."""
    if width_mm < WIDE_FROM_MM:
        return None
    return MILD_WIDTH if width_mm < SEVERE_FROM_MM else SEVERE_WIDTH
