"""Which millimetres per pixel to believe: the user's, the source's own, or the ruler's."""

from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.structures.biometry import check_scale

AGREE_WITHIN = 0.03
"""Two scales further apart contradict each other: 3 % of HC is 5 mm at 20 weeks."""

NOT_TOLD = Scaled()


def choose_scale(
    user: float | None = None, source: Scaled = NOT_TOLD, ruler: float | None = None
) -> Scaled:
    """Return the scale to use, and all that were told.

    What the user gives is used. Of the source's own (DICOM's header, a sender's matrix) and the
    ruler's, the source's, where they agree; where they do not, neither. Raises `InputError` for one
    that no picture has.
    """
    given = [(ScaleSource.USER, user)]
    if source.mm_per_px_from is not None:
        given.append((source.mm_per_px_from, source.mm_per_px))
    given.append((ScaleSource.RULER, ruler))
    told = {who: scale for who, each in given if (scale := check_scale(each)) is not None}
    if not told:
        return NOT_TOLD
    named = {str(who): scale for who, scale in told.items()}
    first = next(iter(told))
    apart = max(told.values()) / min(told.values()) - 1
    if first is not ScaleSource.USER and apart > AGREE_WITHIN:
        return Scaled(told_mm_per_px=named)
    return Scaled(mm_per_px=told[first], mm_per_px_from=first, told_mm_per_px=named)
