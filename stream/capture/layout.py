"""What a record is to tell of the scanner's layout: that it moved, and what was hidden."""

from typing import Any

from neurosono.stream.pictures.region import Region
from neurosono.stream.processes.wire import Event
from neurosono.stream.screen.layout import is_same_place


class Layout:
    """Hears where each picture's ultrasound stands; says what has become another."""

    def __init__(self) -> None:
        self._region: Region | None = None
        self._text_is_told = False

    def hear(self, region: Region | None) -> list[Event]:
        """Take a picture's region, None where it is being looked for; return what is to be told."""
        known = self._region
        if region is None or region is known:
            return []
        self._region, told = region, []
        if known is not None and _has_moved(known, region):
            self._text_is_told = False
            told.append(Event("layout-change", _describe_place(region)))
        if region.text and not self._text_is_told:
            self._text_is_told = True
            told.append(Event("text-masked", _describe_text(region)))
        return told


def _has_moved(one: Region, other: Region) -> bool:
    if _describe_place(one) == _describe_place(other):
        return False
    bottom, right = (max(a.y + a.h for a in (one, other)), max(a.x + a.w for a in (one, other)))
    return not is_same_place(one, other, (bottom, right))


def _describe_place(region: Region) -> dict[str, Any]:
    return {"x_px": region.x, "y_px": region.y, "w_px": region.w, "h_px": region.h}


def _describe_text(region: Region) -> dict[str, Any]:
    masked = sum(w * h for _, _, w, h in region.text)
    return {"boxes": len(region.text), "area_share": masked / (region.w * region.h)}
