"""A look and its mirror image, taken together: a brain has no left and right to be told apart.

What is said of both is averaged, place by place: errors that follow from one way round cancel.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Integers, Pixels, Singles
from neurosono.engine.structures.answer import MAP_STRIDE_PX, STRIDES_PX, Answer, Grid


def mirror_look(look: Pixels) -> Pixels:
    """Return a look (L, L) uint8 mirrored so that cells of every level meet cells again.

    Cell j of a stride looks about pixel j * stride, so the picture turns about half of the last
    cell of the coarsest level; what lies right of that falls off, and on the left there is black.
    """
    last = look.shape[1] - STRIDES_PX[-1]
    flip = np.array([[-1.0, 0, last], [0, 1, 0]])
    found = cv2.warpAffine(look, flip, look.shape[::-1], flags=cv2.INTER_NEAREST)
    return np.asarray(found, np.uint8)


def average(answer: Answer, mirrored: Answer) -> Answer:
    """Return the mean of a look's answer and of its mirror image's, in the look's own places.

    Cells that fell off the mirrored look keep their own answer.
    """
    grid = answer.grid
    partner = _partners(grid)
    both = partner >= 0

    def mean(own: Singles, other: Singles) -> Singles:
        found = own.copy()
        found[both] = (own[both] + other[partner[both]]) / 2
        return found

    sides = mirrored.sides[:, [2, 1, 0, 3]]
    turns = mirrored.turns * np.array([1, -1], np.float32)
    cells = grid.size_px // MAP_STRIDE_PX
    first = cells - 1 - (STRIDES_PX[-1] // MAP_STRIDE_PX - 1)
    head = answer.head.copy()
    head[:, : first + 1] = (head[:, : first + 1] + mirrored.head[:, first::-1]) / 2
    return replace(
        answer,
        classes=mean(answer.classes, mirrored.classes),
        centreness=mean(answer.centreness, mirrored.centreness),
        sides=mean(answer.sides, sides),
        turns=mean(answer.turns, turns),
        planes=np.asarray((answer.planes + mirrored.planes) / 2, np.float32),
        head=head,
    )


@cache
def _partners(grid: Grid) -> Integers:
    """Return of each location the one that looks about the same place when mirrored, -1: none."""
    found, first = [], 0
    last = grid.size_px - STRIDES_PX[-1]
    for stride in STRIDES_PX:
        n = grid.size_px // stride
        columns = last // stride - np.arange(n)
        rows = first + n * np.arange(n)[:, None]
        found.append(np.where(columns >= 0, rows + columns, -1).ravel())
        first += n * n
    return np.concatenate(found)
