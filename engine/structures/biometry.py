"""From the head's ellipse to what is measured of it: HC, BPD, OFD, cephalic index, fetal age."""

import math
from dataclasses import dataclass
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.ellipse import Ellipse

MM_PER_PX_RANGE = (0.01, 2.0)
"""A fetal head on a screen: 0.05 to 0.4 mm a pixel is usual; beyond this it is another unit."""

_HADLOCK_MM = (80.0, 360.0)
"""HC of about 14 to 42 weeks, of which the formula was made."""
_HADLOCK_TWO_SD_WEEKS = ((18, 1.19), (24, 1.48), (30, 2.06), (36, 2.98), (math.inf, 3.20))
"""Two standard deviations of the age by HC alone, up to each week, as scanners print them.

Formula and spreads were held against the table "GA by HC, Hadlock 1984" of Hologic's obstetrical
references (PM.LAB.175-A, 2020); the article itself we could not open.
"""

HADLOCK = "Hadlock et al. 1984, Radiology 152:497-501, HC alone"


@dataclass(frozen=True)
class HeadSize:
    """Measures of one head, in pixels or, where a scale was known, in millimetres.

    BPD is the ellipse's short axis, outer to outer as the ellipse is; OFD its long one.
    """

    hc: float
    bpd: float
    ofd: float

    @property
    def cephalic_index(self) -> float:
        """Return BPD over OFD."""
        return self.bpd / self.ofd


@dataclass(frozen=True)
class FetalAge:
    """Gestational age in weeks from HC, and two standard deviations of it."""

    weeks: float
    two_sd_weeks: float
    formula: str = HADLOCK

    def to_dict(self) -> dict[str, Any]:
        """Return `weeks, two_sd_weeks, formula`."""
        return {
            "weeks": self.weeks,
            "two_sd_weeks": self.two_sd_weeks,
            "formula": self.formula,
        }


def check_scale(mm_per_px: float | None) -> float | None:
    """Return the scale; raise `InputError` where it cannot be one of a scanner's picture."""
    if mm_per_px is None:
        return None
    low, high = MM_PER_PX_RANGE
    if not (math.isfinite(mm_per_px) and low <= mm_per_px <= high):
        raise InputError(
            f"millimetres per pixel must be {low:g} to {high:g}, found {mm_per_px}: "
            "is it in cm, or pixels per mm?"
        )
    return mm_per_px


def measure_head(head: Ellipse, scale: float = 1.0) -> HeadSize:
    """Return the head's size; `scale` is millimetres per pixel, 1 to stay in pixels."""
    return HeadSize(head.perimeter * scale, 2 * head.b * scale, 2 * head.a * scale)


def estimate_age(hc_mm: float) -> FetalAge | None:
    """Return the age that a head circumference speaks for; None outside the formula's range.

    Hadlock et al. 1984: weeks = 8.96 + 0.540 HC + 0.0003 HC^3, HC in cm.
    """
    if not _HADLOCK_MM[0] <= hc_mm <= _HADLOCK_MM[1]:
        return None
    cm = hc_mm / 10
    weeks = 8.96 + 0.540 * cm + 0.0003 * cm**3
    spread = next(sd for until, sd in _HADLOCK_TWO_SD_WEEKS if weeks < until)
    return FetalAge(weeks, spread)
