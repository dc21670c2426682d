"""Finding the ultrasound on a scanner's screen from a handful of pictures of it."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.pictures.region import Region, full_region
from neurosono.stream.screen.letters import find_letters
from neurosono.stream.screen.marks import Marks, above, box, gather
from neurosono.stream.screen.outline import fill_hull, trace_outline
from neurosono.stream.screen.patch import pick_patch

FULL_SHARE = 0.85
"""Of the width and of the height, both: what spans more, with nothing beside it, is the whole."""
BESIDE_SHARE = 0.001
"""Of the screen: no more than this is lit beside a picture that was cropped already."""
SMALL_PX = 320
"""Longer side of a picture on which no letter of a scanner's screen could be read any more."""
MISSED_SHARE = 0.15
"""Of what is clearly lit: such a small picture is taken whole where the outline misses more."""
DRAWN_SHARE = 0.02
"""Of the picture: with more of it drawn, even a small one is a whole screen."""
LINEAR_SHARE = 0.985
"""Of its bounding rectangle: an outline that fills more is the rectangle."""


def find_region(pictures: Sequence[Pixels]) -> Region | None:
    """Return where the ultrasound is on these whole screens, or None where there is none.

    `pictures` are one or more screens of one size and layout, `(H, W)` grey or `(H, W, 3)` BGR,
    uint8. A picture that is ultrasound from edge to edge gives the whole of it. What is written on
    it is another question: `with_text` answers it.
    """
    if not pictures or min(pictures[0].shape[:2]) < 2:
        return None
    marks = gather(pictures)
    patch = pick_patch(marks.dense, marks.drawn, marks.bright)
    if patch is None:
        return None
    height, width = pictures[0].shape[:2]
    if is_whole(patch, marks.bright):
        return full_region(height, width)
    outline = trace_outline(patch, marks.dense & ~marks.drawn, marks.bright)
    if max(height, width) <= SMALL_PX and misses_tissue(outline, marks):
        return full_region(height, width)
    return to_region(outline, (height, width))


def is_whole(patch: Pixels, bright: Pixels) -> bool:
    """Whether the picture was cropped to the ultrasound already: nothing is lit beside it."""
    height, width = patch.shape
    _, _, w, h = cv2.boundingRect(patch)
    if w < FULL_SHARE * width or h < FULL_SHARE * height:
        return False
    hull = np.asarray(cv2.dilate(fill_hull(patch), box(3)), dtype=np.uint8)
    return float(np.mean(np.where(hull > 0, 0, bright))) / 255 < BESIDE_SHARE


def misses_tissue(outline: Pixels, marks: Marks) -> bool:
    """Whether much is lit outside the outline and none of it was drawn: torn by shadows."""
    outside = np.where(outline > 0, 0, marks.bright).astype(np.float32)
    missed = float(np.sum(outside)) > MISSED_SHARE * float(np.sum(marks.bright))
    return missed and float(np.mean(marks.drawn > 0)) < DRAWN_SHARE


def to_region(outline: Pixels, shape: tuple[int, int]) -> Region:
    """Return the region of an outline, `(h, w)` uint8 at working scale, on the whole screen."""
    height, width = shape
    whole = cv2.resize(outline, (width, height), interpolation=cv2.INTER_LINEAR)
    whole = above(np.asarray(whole, dtype=np.uint8), 127)
    contours, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    polygon = cv2.approxPolyDP(largest, 0.5, closed=True).reshape(-1, 2)
    x, y, w, h = cv2.boundingRect(largest)
    share = cv2.contourArea(largest) / max(1, (w - 1) * (h - 1))
    if share > LINEAR_SHARE or len(polygon) < 3:
        return Region(x, y, w, h, "linear")
    return Region(x, y, w, h, "sector", (polygon - [x, y]).astype(np.int32))


def with_text(region: Region, bare: Pixels) -> Region:
    """Return the region with the letters that stand on it, for older ones.

    `bare` is the region cut out with no letter blanked, `(h, w)` grey or `(h, w, 3)` BGR.
    """
    text = find_letters(bare)
    return region if text == region.text else replace(region, text=text)
