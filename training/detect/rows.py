"""What is known of one picture that the detector learns from, checked where it is made."""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, Self

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.names import FINDINGS
from neurosono.engine.structures.biometry import check_scale
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import CSP, STRUCTURES, check_plane

FOLDS = 5
LISTS = ("planes", "known", "seen")
FOREIGN = frozenset({CSP})
"""Of what upright boxes are another convention's: three times as large as those of the cavity."""


@dataclass(frozen=True)
class Labelled:
    """A structure that somebody marked; `upright` where only the box along the axes is known.

    Of an upright box the detector learns what stands there, not how it lies.
    """

    label: str
    box: RotatedBox
    upright: bool = False

    def __post_init__(self) -> None:
        _check_label(self.label)


Marks = tuple[Labelled, ...]


@dataclass(frozen=True)
class Row:
    """One picture: whose it is, from which machine, and what is known of it.

    `planes` are those that it may show: one where it is told, several where only "a head" is known,
    none where nothing is. `known` are the structures of which the marks are complete: only there is
    an unmarked place a place without. `seen` are those that somebody saw and nobody marked: they
    are somewhere. `head` is None without one, if `head_known`. All in pixels of
    the square; `mm_per_px` is the square's scale, where there is one.
    """

    path: str
    source: str
    patient: str
    machine: str = ""
    planes: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    boxes: tuple[Labelled, ...] = ()
    head: Ellipse | None = None
    head_known: bool = False
    mm_per_px: float | None = None

    def __post_init__(self) -> None:
        for name in self.planes:
            check_plane(name)
        for name in (*self.known, *self.seen):
            _check_label(name)
        check_scale(self.mm_per_px)
        if self.head is not None and not self.head_known:
            raise InputError(f"{self.path} has a head, so its head must be known")

    @property
    def plane(self) -> str:
        """Return the one plane that is told, "" where none is."""
        return self.planes[0] if len(self.planes) == 1 else ""

    @property
    def fold(self) -> int:
        """Return the patient's fold, 0 to 4: the same wherever and whenever she is met."""
        found = hashlib.sha256(f"fold/{self.patient}".encode()).digest()
        return int.from_bytes(found[:8]) % FOLDS

    def without_foreign(self) -> Self:
        """Return what of the row may teach: of a box of another convention only that it is seen."""
        foreign = {each.label for each in self.boxes if each.upright and each.label in FOREIGN}
        if not foreign:
            return self
        return replace(
            self,
            boxes=tuple(each for each in self.boxes if each.label not in foreign),
            known=tuple(name for name in self.known if name not in foreign),
            seen=(*self.seen, *sorted(foreign)),
        )

    def marked(self, found: Marks) -> Self:
        """Return the row with marks of what was seen and that nobody marked."""
        if not found:
            return self
        names = {each.label for each in found}
        seen = tuple(name for name in self.seen if name not in names)
        return replace(self, boxes=(*self.boxes, *found), seen=seen)

    def mapped(self, matrix: Floats) -> Self:
        """Return the row after an affine (2, 3) of its picture; the scale is then not told."""
        boxes = tuple(_map_box(each, matrix) for each in self.boxes)
        head = self.head.mapped(matrix) if self.head else None
        return replace(self, boxes=boxes, head=head, mm_per_px=None)

    def to_json(self) -> dict[str, Any]:
        """Return a line of the index."""
        boxes = [
            {"label": each.label, "upright": each.upright, **each.box.to_dict()}
            for each in self.boxes
        ]
        head = self.head.to_dict() if self.head else None
        lists = {name: list(getattr(self, name)) for name in LISTS}
        return {**vars(self), **lists, "boxes": boxes, "head": head}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read a line of the index; raises `KeyError`, `TypeError`, `InputError`."""
        boxes = tuple(
            Labelled(
                each["label"],
                RotatedBox(*(each[name] for name in ("cx", "cy", "w", "h", "angle_deg"))),
                each["upright"],
            )
            for each in found["boxes"]
        )
        head = Ellipse(**found["head"]) if found["head"] else None
        lists = {name: tuple(found.get(name, ())) for name in LISTS}
        return cls(**{**found, **lists, "boxes": boxes, "head": head})


def _check_label(name: str) -> None:
    if name not in (*STRUCTURES, *FINDINGS):
        raise InputError(
            f"a structure or finding is one of {', '.join((*STRUCTURES, *FINDINGS))}; "
            f"found {name!r}"
        )


def _map_box(found: Labelled, matrix: Floats) -> Labelled:
    if not found.upright:
        return Labelled(found.label, found.box.mapped(matrix))
    corners = found.box.corners() @ matrix[:, :2].T + matrix[:, 2]
    low, high = corners.min(0), corners.max(0)
    middle, sides = (low + high) / 2, high - low
    return Labelled(found.label, RotatedBox(*middle.tolist(), *sides.tolist()), upright=True)


def check_inside(box: RotatedBox, width_px: int, height_px: int, where: str) -> RotatedBox:
    """Return the box; raise `InputError` where its middle is off the picture or it is larger."""
    inside = -0.5 <= box.cx <= width_px - 0.5 and -0.5 <= box.cy <= height_px - 0.5
    if not inside or box.w > math.hypot(width_px, height_px):
        raise InputError(
            f"{where}: a box at ({box.cx:g}, {box.cy:g}) of {box.w:g} x {box.h:g} does not fit "
            f"into a picture of {width_px} x {height_px} pixels: are they pixels of this very file?"
        )
    return box
