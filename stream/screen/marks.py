"""What stands on a scanner's screen: what is lit as tissue is, what is written, what is drawn.

Ultrasound is densely lit and textured. Text and rulers are lit too, but thinly: most of the pixels
between their strokes are background. Panels and bars are densely lit, but flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.preprocess import to_grey

WORK_PX = 480
"""Longer side of the working picture: one pixel of it is at most 4 of a 1920 wide screen."""
LIT_LEVEL = 6
"""Grey levels above the background from which a pixel is lit: above codec noise on black (at most 3
on the mpeg-2 and H.264 clips measured), below the dimmest receiver noise seen in a sector (8)."""
VIDEO_BLACK = 16
"""The black of video whose levels were never expanded."""
EVEN_LEVEL, EVEN_SHARE = 3, 0.08
"""Grey levels about the darkest, and the share of pixels in them, from which it is a background."""
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
FLAT_LEVEL = 1.2
"""Standard deviation along a row, grey levels, under which a lit patch is a drawn panel."""
FLAT_RUN_PX = 15
"""Of a row: over so many working pixels it is judged whether it is flat."""
FLAT_GREY = 20
"""Grey levels over the background from which a flat patch is a panel: receiver noise, smoothed flat
by a video codec, was found at 13 to 18, panels at 25 and more."""
FLAT_SIZE_PX = (25, 5)
"""Width and height, working pixels, of the smallest flat thing that is taken for a panel."""
FLAT_REACH_PX = (41, 9)
"""Width and height, working pixels, of the gaps in a bar, where other text stands, to be closed."""


_EDGE_OF = np.asarray(cv2.multiply(np.arange(256, dtype=np.uint8), EDGE_SHARE)).ravel()
"""`EDGE_SHARE` of every level, as OpenCV rounds it."""


@dataclass(frozen=True)
class Marks:
    """What a few pictures of one layout show, each `(h, w)` uint8 at working scale.

    `bright` is the share of clearly lit pixels, 0 to 255. The others are 0 or 255: `dense` where
    ultrasound may be, `text` where letters stand, `drawn` where panels, bars and letters were
    drawn. `scale` is working pixels a screen pixel, at most 1.
    """

    bright: Pixels
    dense: Pixels
    text: Pixels
    drawn: Pixels
    scale: float


def gather(pictures: Sequence[Pixels]) -> Marks:
    """Return what is lit, drawn and written in any of the pictures."""
    greys = [to_grey(pixels) for pixels in pictures]
    brightest = greys[0].copy()
    for grey in greys[1:]:
        np.maximum(brightest, grey, out=brightest)
    scale, size = working_size(brightest)
    black = background_of(brightest)
    lit = shrink(above(brightest, black + LIT_LEVEL), size)
    bright = shrink(above(brightest, black + DIM_LEVELS[1]), size)
    small = shrink(brightest, size)
    peak = cv2.dilate(small, box(9))
    dim = shrink(above(brightest, black + DIM_LEVELS[0]), size)
    dim = np.where(peak > black + DIM_LEVELS[1], 0, dim).astype(np.uint8)
    faint = cv2.blur(dim, (11, 11)) > 255 * DIM_SHARE
    dense = np.where((cv2.blur(lit, (7, 7)) > 255 * DENSE_SHARE) | faint, 255, 0).astype(np.uint8)
    text = find_text(greys[-1], size)
    if len(greys) > 1:
        text &= find_text(greys[0], size)
        small = shrink(greys[-1], size)
    return Marks(bright, dense, text, find_drawn(small, text, black), scale)


def working_size(grey: Pixels) -> tuple[float, tuple[int, int]]:
    """Return the working scale of a screen, and its working `(width, height)`."""
    height, width = grey.shape
    scale = min(1.0, WORK_PX / max(height, width))
    return scale, (max(2, round(width * scale)), max(2, round(height * scale)))


def above(levels: Pixels, level: int) -> Pixels:
    """Return 255 where `levels` are higher, else 0; ten times faster than NumPy's own masks."""
    return np.asarray(cv2.threshold(levels, level, 255, cv2.THRESH_BINARY)[1], dtype=np.uint8)


def shrink(levels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the mean of levels, or of a mask's 0 and 255 its share, at another width, height."""
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def box(side: int) -> Pixels:
    """Return a square structuring element."""
    return np.ones((side, side), dtype=np.uint8)


def background_of(grey: Pixels) -> int:
    """Return the screen's black: 0 or 16 as a rule, more where brightness was turned up.

    A level over 16 must be common, as an even background is: tissue has none such.
    """
    few = np.ascontiguousarray(grey[::4, ::4])
    counts = np.asarray(cv2.calcHist([few], [0], None, [256], [0, 256])).ravel()
    level = _percentile(counts, 0.01)
    near = counts[max(0, level - EVEN_LEVEL) : level + EVEN_LEVEL + 1]
    common = float(np.sum(near)) / few.size
    return level if level <= VIDEO_BLACK or common > EVEN_SHARE else VIDEO_BLACK


def _percentile(counts: Singles, share: float) -> int:
    """Return a quantile of levels given how often each occurs, as `np.percentile` has it."""
    upto = np.cumsum(counts)
    place = share * (float(upto[-1]) - 1)
    low, high = np.searchsorted(upto, [int(place) + 1, min(int(place) + 2, int(upto[-1]))])
    return int(low + (high - low) * (place - int(place)))


def find_text(grey: Pixels, size: tuple[int, int]) -> Pixels:
    """Return where letters stand: many edges that fall to the background within a pixel or two."""
    row, column = np.ones((1, 3), dtype=np.uint8), np.ones((3, 1), dtype=np.uint8)
    # OpenCV's own gradient of these gives the same, six times slower
    across = cv2.subtract(cv2.dilate(grey, row), cv2.erode(grey, row))
    along = cv2.subtract(cv2.dilate(grey, column), cv2.erode(grey, column))
    step = np.asarray(cv2.max(across, along), dtype=np.uint8)
    nearby = np.asarray(cv2.dilate(grey, box(5)), dtype=np.uint8)
    fall = np.asarray(cv2.LUT(nearby, _EDGE_OF), dtype=np.uint8)
    steep = cv2.bitwise_and(above(step, EDGE_LEVEL), cv2.compare(step, fall, cv2.CMP_GT))
    share = cv2.blur(shrink(np.asarray(steep, dtype=np.uint8), size), (9, 9))
    text = above(np.asarray(share, dtype=np.uint8), int(255 * TEXT_SHARE))
    if cv2.countNonZero(text) <= LARGEST_TEXT_SHARE * text.size:
        return text  # no piece of it can be larger: the pieces need not be told apart
    _, labels, stats, _ = cv2.connectedComponentsWithStats(text, connectivity=4)
    noise = stats[:, cv2.CC_STAT_AREA] > LARGEST_TEXT_SHARE * text.size
    return np.where(noise[labels], 0, text).astype(np.uint8)


def find_drawn(small: Pixels, text: Pixels, black: int) -> Pixels:
    """Return where panels and bars were drawn, with the text that stands in them or alone."""
    mean = cv2.boxFilter(small, cv2.CV_32F, (FLAT_RUN_PX, 1))
    squares = cv2.sqrBoxFilter(small, cv2.CV_32F, (FLAT_RUN_PX, 1))
    spread = cv2.blur(cv2.subtract(squares, cv2.multiply(mean, mean)), (3, 3))
    even = cv2.compare(spread, FLAT_LEVEL**2, cv2.CMP_LT)
    flat = cv2.bitwise_and(even, above(small, black + FLAT_GREY))
    bar = cv2.getStructuringElement(cv2.MORPH_RECT, FLAT_SIZE_PX)
    flat = np.asarray(cv2.morphologyEx(flat, cv2.MORPH_OPEN, bar), dtype=np.uint8)
    if not cv2.countNonZero(flat) and not cv2.countNonZero(text):
        return flat
    reach = cv2.getStructuringElement(cv2.MORPH_RECT, FLAT_REACH_PX)
    letters = np.asarray(cv2.dilate(text, box(5)), dtype=np.uint8)
    return np.asarray(cv2.morphologyEx(flat | letters, cv2.MORPH_CLOSE, reach), dtype=np.uint8)


def drawn_share(grey: Pixels) -> float:
    """Return which share of a picture, `(H, W)` grey, is panels, bars and letters, 0 to 1.

    Looks at single pixels of it, at working scale: letters keep their sharp edges.
    """
    if min(grey.shape) < 2:
        return 0.0
    _, size = working_size(grey)
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    text = find_text(small, small.shape[::-1])
    return float(np.mean(find_drawn(small, text, background_of(small)) > 0))
