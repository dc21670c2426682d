"""What the network is given of a plane: three crops at the head's own scale, and numbers.

A crop's side is a share of the head's length, not of its box, so that a wide ventricle stays wide.
The head lies level in it, with its front to the right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels, Singles
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.regions.names import FRONT, MEASURED, REGIONS, Region, regions_of
from neurosono.engine.structures.boxes import Found
from neurosono.engine.structures.ellipse import Ellipse

CROP_PX = 64
A_PLANE = 3
"""Regions a plane."""
_NUMBERS = 7
"""Of each measured structure: score, place (2), sides (2), and how it lies (2)."""
GEOMETRY = 4 * _NUMBERS + 1
CONTEXT = GEOMETRY + len(REGIONS)
"""What goes with each crop: the geometry of its plane, and which region it is."""

Affine = Floats


@dataclass(frozen=True, eq=False)
class View:
    """One plane as the network takes it; checked where it is made.

    `crops` is (3, 64, 64) uint8, in the order of `regions_of`; `context` (3, CONTEXT) float32;
    `found` tells of each region whether its structure was found or only its place is known.
    """

    crops: Pixels
    context: Singles
    found: tuple[bool, ...]

    def __post_init__(self) -> None:
        crops, context = (A_PLANE, CROP_PX, CROP_PX), (A_PLANE, CONTEXT)
        if self.crops.shape != crops or self.context.shape != context:
            raise InputError(
                f"a plane's view is {crops} and {context}, found {self.crops.shape} and "
                f"{self.context.shape}"
            )


@dataclass(frozen=True)
class Frame:
    """The head's own axes: `u` from its middle to its front, `v` to the side, in pixels."""

    head: Ellipse
    facing: int
    """1 where its front lies along its angle, -1 where its back does."""

    @property
    def turn_rad(self) -> float:
        """Return the direction of the front, from +x towards +y."""
        return math.radians(self.head.angle_deg) + (0.0 if self.facing > 0 else math.pi)

    def place(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Return where a pixel lies, in half lengths to the front and half widths to the side."""
        c, s = math.cos(self.turn_rad), math.sin(self.turn_rad)
        dx, dy = x_px - self.head.cx, y_px - self.head.cy
        return (c * dx + s * dy) / self.head.a, (-s * dx + c * dy) / self.head.b

    def locate(self, u: float, v: float) -> tuple[float, float]:
        """Return the pixel of a place."""
        c, s = math.cos(self.turn_rad), math.sin(self.turn_rad)
        along, across = u * self.head.a, v * self.head.b
        return self.head.cx + c * along - s * across, self.head.cy + s * along + c * across


def face(head: Ellipse, boxes: Sequence[Found]) -> Frame:
    """Return a head's axes; which end is its front is told by what was found in it."""
    level = Frame(head, 1)
    votes = [
        each.score * FRONT[each.label] * level.place(each.box.cx, each.box.cy)[0]
        for each in boxes
        if each.label in FRONT
    ]
    return Frame(head, 1 if sum(votes) >= 0 else -1)


def view_plane(
    square: Pixels, head: Ellipse, boxes: Sequence[Found], plane: str, mirrored: bool = False
) -> View:
    """Return what the network is given of a square (S, S) uint8 that shows `plane`.

    `head` and `boxes` are in its pixels; `mirrored` shows the head as if seen from below.
    """
    axes = face(head, boxes)
    best = pick_best(boxes)
    crops, found = [], []
    for region in regions_of(plane):
        seen = best.get(region.structure)
        middle = (seen.box.cx, seen.box.cy) if seen else axes.locate(*region.place)
        affine = crop_affine(axes, middle, region.span)
        crop = cv2.warpAffine(square, affine, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
        crops.append(crop[::-1] if mirrored else crop)
        found.append(seen is not None)
    numbers = measure(axes, best, plane)
    context = np.stack([np.append(numbers, _one_hot(region)) for region in regions_of(plane)])
    return View(np.stack(crops).astype(np.uint8), context.astype(np.float32), tuple(found))


def pick_best(boxes: Sequence[Found]) -> dict[str, Found]:
    """Return the surest box of each structure."""
    best: dict[str, Found] = {}
    for each in boxes:
        if each.label not in best or best[each.label].score < each.score:
            best[each.label] = each
    return best


def crop_affine(axes: Frame, middle: tuple[float, float], span: float) -> Affine:
    """Return the affine (2, 3) that brings a place to a crop's middle, the head's front right."""
    scale = CROP_PX / (span * 2 * axes.head.a)
    c, s = scale * math.cos(axes.turn_rad), scale * math.sin(axes.turn_rad)
    half, (x, y) = (CROP_PX - 1) / 2, middle
    return np.array([[c, s, half - c * x - s * y], [-s, c, half + s * x - c * y]])


def measure(axes: Frame, best: dict[str, Found], plane: str) -> Singles:
    """Return presence, place and size of a plane's structures, (GEOMETRY,), about -1 to 1 each.

    Sides are over the head's length; how far to the side is without its sign, as is which way a
    structure leans: left and right say nothing.
    """
    numbers = np.zeros((4, _NUMBERS), np.float32)
    for row, label in enumerate(MEASURED[plane]):
        seen = best.get(label)
        if seen is None:
            continue
        box, length = seen.box, 2 * axes.head.a
        u, v = axes.place(box.cx, box.cy)
        lies = 2 * (math.radians(box.angle_deg) - axes.turn_rad)
        numbers[row] = (
            seen.score,
            u,
            abs(v),
            box.w / length,
            box.h / length,
            math.cos(lies),
            abs(math.sin(lies)),
        )
    shape = axes.head.b / axes.head.a
    return np.asarray(np.append(numbers, shape), np.float32)


def _one_hot(region: Region) -> Singles:
    return np.asarray(np.arange(len(REGIONS)) == REGIONS.index(region), np.float32)
