"""Looks at one picture: a glance at all of it, then a closer one at the head that it showed.

In the closer look the head lies level and has always the same length, so that what is left to tell
apart is anatomy; it is taken twice, once in the mirror. All are of one network, and are cut from
the same square.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.engine.structures.answer import Answer
from neurosono.engine.structures.ellipse import Ellipse, ellipse_of_map
from neurosono.engine.structures.mirror import average, mirror_look

HEAD_SHARE = 0.78
"""Of the look's side, the head's long axis: there is room for what lies just outside of it."""

NEARER = (1.0, 1.4)
"""How near each glance is: the next is taken where one shows no head."""
SMALLEST = 0.1
"""Of the square's side, the half axis of a head: what is smaller is a part of one."""

Affine = Floats


def glance_affine(square_px: int, look_px: int, nearer: float = 1.0) -> Affine:
    """Return the affine (2, 3) from a square's pixels to those of a look at all of it.

    `nearer` is how much larger things are seen: then only its middle is.
    """
    scale = nearer * look_px / square_px
    middle = (look_px - 1) / 2 - scale * (square_px - 1) / 2
    return np.array([[scale, 0, middle], [0, scale, middle]])


def closer_affine(head: Ellipse, look_px: int) -> Affine:
    """Return the affine (2, 3) that brings a head to the middle of a look, level and at its size.

    The head is turned by a right angle at the most, so that up stays up.
    """
    angle = math.radians(head.angle_deg if head.angle_deg <= 90 else head.angle_deg - 180)
    scale = HEAD_SHARE * look_px / (2 * head.a)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    middle = (look_px - 1) / 2
    return np.array(
        [
            [c, s, middle - c * head.cx - s * head.cy],
            [-s, c, middle + s * head.cx - c * head.cy],
        ]
    )


def cut(square: Pixels, affine: Affine, look_px: int) -> Pixels:
    """Return the look (L, L) uint8 that an affine (2, 3) cuts from a square (S, S) uint8."""
    found = cv2.warpAffine(square, affine, (look_px, look_px), flags=cv2.INTER_LINEAR)
    return np.asarray(found, np.uint8)


def placed(answer: Answer, affine: Affine, square_px: int) -> Answer:
    """Return a look's answer with the way back to the square that an affine (2, 3) cut it from."""
    return replace(answer, back=np.asarray(cv2.invertAffineTransform(affine)), square_px=square_px)


def look(square: Pixels, look_px: int, ask: Callable[[Pixels], Answer]) -> Answer:
    """Return what `ask` says of a square (S, S) uint8: of the head where the glance shows one.

    Whether it is one is left to the closer look: a small head seen from afar looks like none. Where
    none is seen, a second glance is nearer.
    """
    side = square.shape[0]
    if side == look_px:
        return ask(square)
    glances = (_glance(square, look_px, ask, nearer) for nearer in NEARER)
    seen = []
    for glance in glances:
        seen.append(glance)
        head = find_head(glance)
        if head is not None and head.a >= SMALLEST * side:
            break
    else:
        return seen[0]
    affine = closer_affine(head, look_px)
    closer = cut(square, affine, look_px)
    both = average(ask(closer), ask(mirror_look(closer)))
    return replace(placed(both, affine, side), square=square)


def _glance(square: Pixels, look_px: int, ask: Callable[[Pixels], Answer], nearer: float) -> Answer:
    affine = glance_affine(square.shape[0], look_px, nearer)
    return placed(ask(cut(square, affine, look_px)), affine, square.shape[0])


def find_head(answer: Answer) -> Ellipse | None:
    """Return the head's ellipse in pixels of the square, None where none can be trusted."""
    side = answer.square_px
    return ellipse_of_map(answer.head, answer.back, (side, side))
