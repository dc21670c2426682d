"""Which millimetres per pixel to believe: the user's, DICOM's, or the ruler's on the screen."""

from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.structures.biometry import check_scale

BY_TRUST = (ScaleSource.USER, ScaleSource.DICOM, ScaleSource.RULER)
AGREE_WITHIN = 0.03
"""Two scales further apart contradict each other: 3 % of HC is 5 mm at 20 weeks."""


def choose_scale(
    user: float | None = None, dicom: float | None = None, ruler: float | None = None
) -> Scaled:
    """Return the scale to use, and all that were told.

    What the user gives is used. Of DICOM's and the ruler's, DICOM's, where they agree; where they
    do not, neither. Raises `InputError` for one that no picture has.
    """
    told = {
        source: scale
        for source, given in zip(BY_TRUST, (user, dicom, ruler), strict=True)
        if (scale := check_scale(given)) is not None
    }
    if not told:
        return Scaled()
    named = {str(source): scale for source, scale in told.items()}
    source = next(iter(told))
    apart = max(told.values()) / min(told.values()) - 1
    if source is not ScaleSource.USER and apart > AGREE_WITHIN:
        return Scaled(told_mm_per_px=named)
    return Scaled(mm_per_px=told[source], mm_per_px_from=source, told_mm_per_px=named)
