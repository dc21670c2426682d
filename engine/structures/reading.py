"""One picture's reading: its plane, its structures, its head, and what is measured of them."""

from dataclasses import dataclass, replace
from typing import Any, Self

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.preprocess import letterbox_box
from neurosono.engine.structures.answer import Answer
from neurosono.engine.structures.biometry import (
    FetalAge,
    HeadSize,
    check_scale,
    estimate_age,
    measure_head,
)
from neurosono.engine.structures.boxes import Found
from neurosono.engine.structures.decode import Limits, find_structures
from neurosono.engine.structures.ellipse import Ellipse, ellipse_of_map, unlike_map
from neurosono.engine.structures.names import (
    EXPECTED,
    LEARNT_ON_PHANTOMS,
    LV,
    NO_HEAD,
    PLANES,
    SPINE,
    TRANSVENTRICULAR,
)
from neurosono.engine.structures.refine import refine

HEADLESS_FROM = 0.5
"""From this share of "no head" or "spine" on no head is measured."""
UNCLEAR_FROM = 0.1
"""Share of a head's area by which its map and its ellipse differ: from here on none is trusted. Of
HC18's training heads 2 % are so, half of them 7 to 39 % wrong; clear ones are by 1.3 %."""
TOLD = Limits(together=True)
PLANE_AT_LEAST = 0.5
"""Below this no plane is named: the next one may be as likely."""


@dataclass(frozen=True)
class Reading:
    """What one picture shows, in pixels of the picture itself.

    `plane` is None where none is likely enough. `mm_per_px` is None where the scale is not known:
    then everything stays in pixels, and nothing is guessed. `quality` is the mean score of what a
    standard plane must hold, 0 to 1; None off the standard planes.
    """

    plane: str | None
    planes: dict[str, float]
    quality: float | None
    boxes: tuple[Found, ...]
    head: Ellipse | None
    mm_per_px: float | None

    def __post_init__(self) -> None:
        check_scale(self.mm_per_px)

    @property
    def likeliest(self) -> str:
        """Return the plane that is likeliest, however unlikely."""
        return max(self.planes, key=lambda name: self.planes[name])

    @property
    def size_px(self) -> HeadSize | None:
        """Return the head's size in pixels."""
        return measure_head(self.head) if self.head else None

    @property
    def size_mm(self) -> HeadSize | None:
        """Return the head's size in millimetres, where the scale is known."""
        if self.head is None or self.mm_per_px is None:
            return None
        return measure_head(self.head, self.mm_per_px)

    @property
    def age(self) -> FetalAge | None:
        """Return the gestational age that HC speaks for, where the scale is known."""
        return estimate_age(self.size_mm.hc) if self.size_mm else None

    @property
    def atrial_width_px(self) -> float | None:
        """Return the short side of the surest ventricle, in the plane where it is measured."""
        if self.plane != TRANSVENTRICULAR:
            return None
        return next((each.box.h for each in self.boxes if each.label == LV), None)

    def moved(self, dx_px: float, dy_px: float) -> Self:
        """Return the reading in pixels of a picture in which this one begins at `dx_px, dy_px`."""
        boxes = tuple(
            replace(each, box=replace(each.box, cx=each.box.cx + dx_px, cy=each.box.cy + dy_px))
            for each in self.boxes
        )
        head = self.head
        if head is not None:
            head = replace(head, cx=head.cx + dx_px, cy=head.cy + dy_px)
        return replace(self, boxes=boxes, head=head)

    def to_dict(self) -> dict[str, Any]:
        """Return the reading by its public names; what is not known is None."""
        px, mm, age = self.size_px, self.size_mm, self.age
        width, scale = self.atrial_width_px, self.mm_per_px
        return {
            "plane": self.plane,
            "planes": dict(self.planes),
            "quality": self.quality,
            "boxes": [
                {**each.to_dict(), "unproven": each.label in LEARNT_ON_PHANTOMS}
                for each in self.boxes
            ],
            "head": self.head.to_dict() if self.head else None,
            "mm_per_px": scale,
            "hc_mm": mm.hc if mm else None,
            "bpd_mm": mm.bpd if mm else None,
            "ofd_mm": mm.ofd if mm else None,
            "atrial_width_mm": width * scale if width and scale else None,
            "hc_px": px.hc if px else None,
            "bpd_px": px.bpd if px else None,
            "ofd_px": px.ofd if px else None,
            "atrial_width_px": width,
            "cephalic_index": px.cephalic_index if px else None,
            "age": age.to_dict() if age else None,
        }


def to_picture(height_px: int, width_px: int, size_px: int) -> Floats:
    """Return the affine (2, 3) from the letterboxed input back to the picture's own pixels."""
    x, y, w, h = letterbox_box(height_px, width_px, size_px)
    sx, sy = width_px / w, height_px / h
    # Pixels are squares about their centres: corners, at -0.5, meet corners.
    return np.array([[sx, 0, (0.5 - x) * sx - 0.5], [0, sy, (0.5 - y) * sy - 0.5]])


def _after(second: Floats, first: Floats) -> Floats:
    """Return the affine (2, 3) that does `first`, then `second`."""
    both: Floats = second @ np.vstack([first, [0, 0, 1]])
    return both


def read_answer(
    answer: Answer,
    height_px: int,
    width_px: int,
    mm_per_px: float | None = None,
    limits: Limits | None = None,
) -> Reading:
    """Return the reading of a picture of this size, of which the network said `answer`.

    Without `limits` of one's own, what no real picture taught is told only in the plane that must
    hold it: elsewhere it would be named on most real pictures. Raises `InputError` for a scale that
    is none.
    """
    back = _after(to_picture(height_px, width_px, answer.square_px), answer.back)
    planes = {name: float(p) for name, p in zip(PLANES, answer.planes, strict=True)}
    likeliest = max(planes, key=lambda name: planes[name])
    plane = likeliest if planes[likeliest] >= PLANE_AT_LEAST else None
    head = None
    if planes[NO_HEAD] + planes[SPINE] < HEADLESS_FROM:
        head = _outline(answer, back, height_px, width_px)
    boxes = tuple(
        Found(each.label, each.score, each.box.mapped(back))
        for each in find_structures(answer, limits or TOLD)
        if limits is not None or _belongs(each.label, plane)
    )
    return Reading(plane, planes, _rate(plane, boxes), boxes, head, mm_per_px)


def _belongs(label: str, plane: str | None) -> bool:
    return label not in LEARNT_ON_PHANTOMS or label in EXPECTED.get(plane or "", ())


def _outline(answer: Answer, back: Floats, height_px: int, width_px: int) -> Ellipse | None:
    """Return the map's head, drawn to the edge that the square shows; None if unclear."""
    head = ellipse_of_map(answer.head, back, (width_px, height_px))
    if head is None:
        return None
    looked_at = head.mapped(np.asarray(cv2.invertAffineTransform(back)))
    if unlike_map(looked_at, answer.head) >= UNCLEAR_FROM:
        return None
    if answer.square is None:
        return head
    forth = to_picture(height_px, width_px, answer.square_px)
    inside = head.mapped(np.asarray(cv2.invertAffineTransform(forth)))
    return refine(answer.square, inside).mapped(forth)


def _rate(plane: str | None, boxes: tuple[Found, ...]) -> float | None:
    if plane not in EXPECTED:
        return None
    best = [
        max((each.score for each in boxes if each.label == label), default=0.0)
        for label in EXPECTED[plane]
    ]
    return float(np.mean(best))
