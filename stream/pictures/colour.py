"""Whether a picture carries colour, and whether that is colour or power Doppler.

Scanners tint grey pictures (sepia, steel blue) and write in colours, so colour alone says nothing.
Flow fills areas, and its colour changes with its speed; letters, calipers and logos are drawn.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.preprocess import to_grey
from neurosono.stream.pictures.finder import STRIDE, Finder

Box = tuple[int, int, int, int]

COLOUR_LEVEL = 40
"""Levels by which two channels must differ to be looked at. JPEG and H.264 chroma noise on grey
pictures stayed below 25 on all clips measured."""
LOOK_PX = 256
"""Longer side of what the network sees, at least: whole blocks of pixels are averaged."""
CHANCE = 0.3
"""From which an answer is flow."""
FEWEST = 6
"""Answers, sixteen pixels of what the network sees each, that must be flow."""
CLEAR_LEVEL = 60
"""Levels by which two channels differ where something is surely coloured."""
ALIKE_LEVEL = 32
"""Levels by which one colour may differ from itself, after a codec and over tissue."""
OTHERS_SHARE = 0.5
"""Of what is coloured: with more of it unlike the rest, it is no letter."""
FEWEST_CORE = 20
"""Pixels inside strokes: with fewer, the edges count too."""
NEUTRAL_LEVEL = 8
"""Levels by which the channels of a grey picture may differ: no tint that an eye sees."""

_FLOW = Finder(Path(__file__).with_name("flow.onnx"), multiple=16)


def drop_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a BGR picture that carries no colour as `(h, w)` grey, any other as it is.

    A third of the bytes to look at, to send and to draw on.
    """
    if pixels.ndim == 2:
        return pixels
    few = np.ascontiguousarray(pixels[::8, ::8])  # a tinted picture is told by these alone
    grey = most_colour(few) <= NEUTRAL_LEVEL and most_colour(pixels) <= NEUTRAL_LEVEL
    return to_grey(pixels) if grey else pixels


def most_colour(pixels: NDArray[np.uint8]) -> float:
    """Return the levels by which green differs most from blue or red."""
    blue, green, red = cv2.split(pixels)
    return max(cv2.norm(blue, green, cv2.NORM_INF), cv2.norm(red, green, cv2.NORM_INF))


def has_doppler(pixels: NDArray[np.uint8], letters: Sequence[Box] = ()) -> bool:
    """Whether `pixels`, `(h, w)` grey or `(h, w, 3)` BGR, carry flow; grey never does.

    `letters` are boxes `x, y, w, h` where something is written: only what has more than one colour
    is flow there.
    """
    if pixels.ndim == 2 or min(pixels.shape[:2]) < 2:
        return False
    few = shrink(pixels)
    if most_colour(few) < COLOUR_LEVEL:
        return False
    flow = _FLOW.find(few) > CHANCE
    scale = STRIDE * pixels.shape[0] / few.shape[0]
    for x, y, w, h in letters:
        if is_one_colour(pixels[y : y + h, x : x + w]):
            rows = slice(int(y / scale), int(np.ceil((y + h) / scale)))
            flow[rows, int(x / scale) : int(np.ceil((x + w) / scale))] = False
    return int(np.count_nonzero(flow)) >= FEWEST


def is_one_colour(pixels: NDArray[np.uint8]) -> bool:
    """Whether all that is coloured in `(h, w, 3)` BGR, uint8, is of one colour, as letters are.

    Where strokes are wide enough, their edges, which are mixed with the tissue, do not count.
    """
    blue, green, red = (channel.astype(np.int16) for channel in cv2.split(pixels))
    b, r = blue - green, red - green
    strongest = np.maximum(np.maximum(np.abs(b), np.abs(r)), np.abs(b - r))
    coloured = (strongest > CLEAR_LEVEL).astype(np.uint8)
    core = cv2.erode(coloured, np.ones((3, 3), np.uint8), borderValue=0) > 0
    if np.count_nonzero(core) < FEWEST_CORE:
        core = coloured > 0
    if not core.any():
        return True
    off = np.maximum(np.abs(b - np.median(b[core])), np.abs(r - np.median(r[core])))[core]
    return float(np.mean(off > ALIKE_LEVEL)) < OTHERS_SHARE


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as the network sees it: whole blocks of pixels averaged."""
    side = max(1, max(pixels.shape[:2]) // LOOK_PX)
    height, width = (max(1, n // side) for n in pixels.shape[:2])
    blocks = pixels[: height * side, : width * side]
    return np.asarray(cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
