"""Letters that stand on the ultrasound, found by what they are: names, numbers, any script.

A small network looks at strokes and not at what lies around them, so it finds them over bright
tissue as over black. `letters.md` beside its weights says what it was taught on.
"""

from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.preprocess import to_grey
from neurosono.stream.pictures.finder import STRIDE, Finder

Box = tuple[int, int, int, int]

MOST_PX = 700_000
"""Of a picture as the network sees it: larger ones are averaged down, as their letters are larger
too. At 310,000 the smallest letters of a screen of 1024 x 768 were averaged away: four times as
many names stayed legible."""
SURE, LIKELY = 0.8, 0.5
"""Chances: a piece that is likely to be of letters counts where some of it surely is. At 0.6 and
0.3 one name in a hundred stays legible instead of 1.3, but three times as much anatomy is hidden,
and a re-encoded copy of a picture loses other specks than the picture."""
SMALLEST = 3
"""Answers, of `STRIDE` x `STRIDE` pixels: fewer are a speck of echo, or a cross-hair."""
REACH = np.ones((1, 3), dtype=np.uint8)
"""Answers by which pieces are joined sideways: the gaps between the letters of a word."""

MULTIPLE_PX = 32
"""What the network wants of a picture's sides."""

LETTERS = Finder(Path(__file__).with_name("letters.onnx"), MULTIPLE_PX)
"""The network that ships."""


def find_letters(pixels: Pixels, finder: Finder = LETTERS) -> tuple[Box, ...]:
    """Return the boxes `x, y, w, h` around what is written on a picture.

    `pixels` is `(h, w)` grey or `(h, w, 3)` BGR, uint8: the ultrasound, 0 beside it. Colours count
    by their grey.
    """
    levels = to_grey(pixels)
    height, width = levels.shape
    if min(height, width) < 2 * STRIDE:
        return ()
    scale = min(1.0, float(np.sqrt(MOST_PX / (height * width))))
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        levels = np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return to_boxes(finder.find(levels), scale, (height, width))


def rest_letters(finder: Finder = LETTERS) -> None:
    """Free what finding letters took on this thread, where it does so seldom."""
    finder.forget()


def to_boxes(chances: Singles, scale: float, shape: tuple[int, int]) -> tuple[Box, ...]:
    """Return boxes around the pieces of a network's answer, in pixels of the whole picture."""
    likely = (chances > LIKELY).astype(np.uint8)
    if not likely.any():
        return ()
    joined = cv2.dilate(likely, REACH)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    sure = set(np.unique(labels[chances > SURE]).tolist())
    sizes = np.bincount(labels[likely > 0], minlength=count)
    height, width = shape
    boxes = []
    for k in range(1, count):
        if k not in sure or sizes[k] < SMALLEST:
            continue
        x, y, w, h = (int(side) for side in stats[k, :4])
        left, top = int(x * STRIDE / scale), int(y * STRIDE / scale)
        right = min(width, int(np.ceil((x + w) * STRIDE / scale)))
        bottom = min(height, int(np.ceil((y + h) * STRIDE / scale)))
        boxes.append((left, top, right - left, bottom - top))
    return tuple(boxes)
