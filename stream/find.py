"""Finding the ultrasound on a scanner's screen from a handful of pictures of it.

Ultrasound is the largest densely lit, textured patch of the screen. Text and rulers are lit too,
but thinly: most of the pixels between their strokes are background. Panels and bars are densely
lit, but flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.preprocess import to_grey
from stream.outline import fill_hull, trace_outline
from stream.patch import pick_patch
from stream.region import Region, full_region

WORK_PX = 480
"""Longer side of the working picture: one pixel of it is at most 4 of a 1920 wide screen."""
LIT_LEVEL = 6
"""Grey levels above the background from which a pixel is lit: above codec noise on black (at most 3
on the mpeg-2 and H.264 clips measured), below the dimmest receiver noise seen in a sector (8)."""
DENSE_SHARE = 0.65
"""Of a neighbourhood: lit to this share it may be ultrasound; blocks of text reach 0.55."""
DIM_LEVELS = (3, 40)
"""Grey levels above the background of lone speckle in an almost black part of the sector."""
DIM_SHARE = 0.15
"""Of a neighbourhood: that many dim pixels make it ultrasound, if nothing bright stands there."""
EDGE_LEVEL = 40
"""Grey levels across three pixels from which an edge may be a letter's."""
EDGE_SHARE = 0.6
"""Of the brightest pixel nearby: letters fall to the background that steeply, echoes do not."""
TEXT_SHARE = 0.25
"""Of a neighbourhood: so many steep pixels are text. On the screens seen text has 0.3 and more, the
straight edge of a sector 0.2 at most, the inside of a sector below 0.05."""
LARGEST_TEXT_SHARE = 0.025
"""Of the screen: what is larger, in one piece, is grain (a Doppler trace, noise). The largest block
of settings seen takes 0.01."""
SMALLEST_TEXT_PX = 150
"""Working pixels, with their surroundings, of the smallest word: smaller are cross-hairs."""
FLAT_LEVEL = 1.2
"""Standard deviation along a row, grey levels, under which a lit patch is a drawn panel."""
FLAT_GREY = 20
"""Grey level from which a flat patch is a panel: receiver noise, smoothed flat by a video codec,
was found at 13 to 18, panels at 25 and more."""
FLAT_SIZE_PX = (25, 5)
"""Width and height, working pixels, of the smallest flat thing that is taken for a panel."""
FLAT_REACH_PX = (41, 9)
"""Width and height, working pixels, of the gaps in a bar, where other text stands, to be closed."""
FULL_SHARE = 0.85
"""Of the width and of the height, both: what spans more, with nothing beside it, is the whole."""
BESIDE_SHARE = 0.001
"""Of the screen: no more than this is lit beside a picture that was cropped already."""
LINEAR_SHARE = 0.985
"""Of its bounding rectangle: an outline that fills more is the rectangle."""


@dataclass(frozen=True)
class Evidence:
    """What a few pictures of one layout show, each `(h, w)` uint8 at working scale.

    `bright` is the share of clearly lit pixels, 0 to 255. The others are 0 or 255: `dense` where
    ultrasound may be, `text` where letters stand, `drawn` where panels, bars and letters were
    drawn. `scale` is working pixels a screen pixel, at most 1.
    """

    bright: NDArray[np.uint8]
    dense: NDArray[np.uint8]
    text: NDArray[np.uint8]
    drawn: NDArray[np.uint8]
    scale: float


def find_region(pictures: Sequence[NDArray[np.uint8]]) -> Region | None:
    """Return where the ultrasound is on these whole screens, or None where there is none.

    `pictures` are one or more screens of one size and layout, `(H, W)` grey or `(H, W, 3)` BGR,
    uint8. A picture that is ultrasound from edge to edge gives the whole of it.
    """
    if not pictures or min(pictures[0].shape[:2]) < 2:
        return None
    evidence = gather(pictures)
    patch = pick_patch(evidence.dense, evidence.drawn, evidence.bright)
    if patch is None:
        return None
    height, width = pictures[0].shape[:2]
    if is_whole(patch, evidence.bright):
        return full_region(height, width, text_boxes(evidence.text, evidence.scale))
    outline = trace_outline(patch, evidence.dense & ~evidence.drawn, evidence.bright)
    return to_region(outline, evidence.text, evidence.scale, (height, width))


def gather(pictures: Sequence[NDArray[np.uint8]]) -> Evidence:
    """Return what is lit, drawn and written in any of the pictures."""
    greys = [to_grey(pixels) for pixels in pictures]
    brightest = greys[0].copy()
    for grey in greys[1:]:
        np.maximum(brightest, grey, out=brightest)
    scale, size = working_size(brightest)
    black = background_of(brightest)
    lit = shrink(brightest > black + LIT_LEVEL, size)
    bright = shrink(brightest > black + DIM_LEVELS[1], size)
    peak = cv2.dilate(cv2.resize(brightest, size, interpolation=cv2.INTER_AREA), box(9))
    dim = shrink(brightest > black + DIM_LEVELS[0], size)
    dim = np.where(peak > black + DIM_LEVELS[1], 0, dim).astype(np.uint8)
    faint = cv2.blur(dim, (11, 11)) > 255 * DIM_SHARE
    dense = np.where((cv2.blur(lit, (7, 7)) > 255 * DENSE_SHARE) | faint, 255, 0).astype(np.uint8)
    text = find_text(greys[-1], size)
    if len(greys) > 1:
        text &= find_text(greys[0], size)
    small = np.asarray(cv2.resize(greys[-1], size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return Evidence(bright, dense, text, find_drawn(small, text), scale)


def shrink(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the share of a mask that is set, 0 to 255, at another `(width, height)`."""
    full = mask.astype(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def box(side: int) -> NDArray[np.uint8]:
    """Return a square structuring element."""
    return np.ones((side, side), dtype=np.uint8)


def background_of(grey: NDArray[np.uint8]) -> int:
    """Return the screen's black: 0 as a rule, 16 where video levels were never expanded."""
    return min(int(np.percentile(grey[::4, ::4], 1)), 16)


def find_text(grey: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return where letters stand: many edges that fall to the background within a pixel or two."""
    row, column = np.ones((1, 3), dtype=np.uint8), np.ones((3, 1), dtype=np.uint8)
    across = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, row)
    along = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, column)
    step = np.asarray(cv2.max(across, along), dtype=np.uint8)
    nearby = np.asarray(cv2.dilate(grey, box(5)), dtype=np.uint8)
    steep = (step > EDGE_LEVEL) & (step > cv2.multiply(nearby, EDGE_SHARE))
    share = cv2.blur(shrink(steep, size), (9, 9))
    text = np.where(share > 255 * TEXT_SHARE, 255, 0).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(text, connectivity=4)
    noise = stats[:, cv2.CC_STAT_AREA] > LARGEST_TEXT_SHARE * text.size
    return np.where(noise[labels], 0, text).astype(np.uint8)


def find_drawn(small: NDArray[np.uint8], text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return where panels and bars were drawn, with the text that stands in them or alone."""
    levels = small.astype(np.float32)
    mean = cv2.blur(levels, (15, 1))
    spread = cv2.blur(cv2.blur(levels * levels, (15, 1)) - mean * mean, (3, 3))
    even = (spread < FLAT_LEVEL**2) & (small > FLAT_GREY)
    flat = np.where(even, 255, 0).astype(np.uint8)
    bar = cv2.getStructuringElement(cv2.MORPH_RECT, FLAT_SIZE_PX)
    flat = np.asarray(cv2.morphologyEx(flat, cv2.MORPH_OPEN, bar), dtype=np.uint8)
    reach = cv2.getStructuringElement(cv2.MORPH_RECT, FLAT_REACH_PX)
    letters = np.asarray(cv2.dilate(text, box(5)), dtype=np.uint8)
    return np.asarray(cv2.morphologyEx(flat | letters, cv2.MORPH_CLOSE, reach), dtype=np.uint8)


def is_whole(patch: NDArray[np.uint8], bright: NDArray[np.uint8]) -> bool:
    """Whether the picture was cropped to the ultrasound already: nothing is lit beside it."""
    height, width = patch.shape
    _, _, w, h = cv2.boundingRect(patch)
    if w < FULL_SHARE * width or h < FULL_SHARE * height:
        return False
    hull = np.asarray(cv2.dilate(fill_hull(patch), box(3)), dtype=np.uint8)
    return float(np.mean(np.where(hull > 0, 0, bright))) / 255 < BESIDE_SHARE


def text_boxes(text: NDArray[np.uint8], scale: float) -> tuple[tuple[int, int, int, int], ...]:
    """Return the boxes `x, y, w, h` around what is written, screen pixels."""
    words = cv2.dilate(text, np.ones((3, 7), dtype=np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(words, connectivity=8)
    found = []
    for x, y, w, h, area in stats[1:count].tolist():
        if area < SMALLEST_TEXT_PX:
            continue
        left, top = int(x / scale), int(y / scale)
        right, bottom = int(np.ceil((x + w) / scale)), int(np.ceil((y + h) / scale))
        found.append((left, top, right - left, bottom - top))
    return tuple(found)


def to_region(
    outline: NDArray[np.uint8], text: NDArray[np.uint8], scale: float, shape: tuple[int, int]
) -> Region:
    """Return the region of an outline, `(h, w)` uint8 at working scale, on the whole screen."""
    height, width = shape
    inside = np.where(outline > 0, text, 0).astype(np.uint8)
    whole = cv2.resize(outline, (width, height), interpolation=cv2.INTER_LINEAR)
    whole = np.where(np.asarray(whole) > 127, 255, 0).astype(np.uint8)
    contours, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    polygon = cv2.approxPolyDP(largest, 0.5, closed=True).reshape(-1, 2)
    x, y, w, h = cv2.boundingRect(largest)
    boxes = tuple((bx - x, by - y, bw, bh) for bx, by, bw, bh in text_boxes(inside, scale))
    share = cv2.contourArea(largest) / max(1, (w - 1) * (h - 1))
    if share > LINEAR_SHARE or len(polygon) < 3:
        return Region(x, y, w, h, "linear", None, boxes)
    return Region(x, y, w, h, "sector", (polygon - [x, y]).astype(np.int32), boxes)


def with_text(region: Region, pixels: NDArray[np.uint8]) -> Region:
    """Return the region with the letters that stand on it in this screen, for older ones."""
    grey = to_grey(pixels)
    scale, size = working_size(grey)
    here = cv2.resize(region.screen_mask(*grey.shape), size, interpolation=cv2.INTER_NEAREST)
    boxes = text_boxes(
        np.where(np.asarray(here) > 0, find_text(grey, size), 0).astype(np.uint8), scale
    )
    moved = tuple((x - region.x, y - region.y, w, h) for x, y, w, h in boxes)
    return region if moved == region.text else replace(region, text=moved)


def drawn_share(grey: NDArray[np.uint8]) -> float:
    """Return which share of a picture, `(H, W)` grey, is panels, bars and letters, 0 to 1.

    Looks at every k-th pixel only: letters keep their sharp edges, and it costs a quarter.
    """
    if min(grey.shape) < 2:
        return 0.0
    step = max(1, round(max(grey.shape) / WORK_PX))
    small = np.ascontiguousarray(grey[::step, ::step])
    return float(np.mean(find_drawn(small, find_text(small, small.shape[::-1])) > 0))


def working_size(grey: NDArray[np.uint8]) -> tuple[float, tuple[int, int]]:
    """Return the working scale of a screen, and its working `(width, height)`."""
    height, width = grey.shape
    scale = min(1.0, WORK_PX / max(height, width))
    return scale, (max(2, round(width * scale)), max(2, round(height * scale)))
