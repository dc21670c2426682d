"""Which millimetres per pixel to believe: the user's, DICOM's, or the ruler's on the screen."""

from dataclasses import dataclass
from typing import Any

from neurosono.engine.structures.biometry import check_scale

GIVEN, DICOM, RULER = "given", "dicom", "ruler"
"""Where a scale may come from, the most trusted first."""
AGREE_WITHIN = 0.03
"""Two scales further apart contradict each other: 3 % of HC is 5 mm at 20 weeks."""


@dataclass(frozen=True)
class Scale:
    """The scale in use and where it is from; both None where none is known or two contradict.

    `told` holds every scale that was told, by its source, so that a contradiction can be shown.
    """

    mm_per_px: float | None
    source: str | None
    told: dict[str, float]

    @property
    def contradicts(self) -> bool:
        """Return whether scales were told and none is used: the user must choose."""
        return self.mm_per_px is None and bool(self.told)

    def to_dict(self) -> dict[str, Any]:
        """Return `mm_per_px, source, told`."""
        return {"mm_per_px": self.mm_per_px, "source": self.source, "told": dict(self.told)}


def choose_scale(
    given: float | None = None, dicom: float | None = None, ruler: float | None = None
) -> Scale:
    """Return the scale to use.

    What the user gives is used. Of DICOM's and the ruler's, DICOM's, where they agree; where they
    do not, neither. Raises `InputError` for one that no picture has.
    """
    named = {GIVEN: given, DICOM: dicom, RULER: ruler}
    checked = {name: check_scale(value) for name, value in named.items()}
    found = {name: value for name, value in checked.items() if value is not None}
    if not found:
        return Scale(None, None, {})
    source = next(name for name in named if name in found)
    apart = max(found.values()) / min(found.values()) - 1
    if source != GIVEN and apart > AGREE_WITHIN:
        return Scale(None, None, found)
    return Scale(found[source], source, found)
