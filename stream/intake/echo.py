"""Whether there are echoes of tissue in a picture, or only a menu, nothing, or a probe in air."""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags, Pixels, Singles
from neurosono.stream.screen.marks import drawn_share

LIT_LEVEL = 20
"""Grey levels, after blurring over `BLUR_PX` of the network's square, of what counts as lit."""
BLUR_PX = 7
LIT_SHARE = 0.03
"""Of the square: less lit is a blank screen. The darkest B-mode measured, lung at low gain, has
0.10; the darkest fetal head 0.22."""
DRAWN_SHARE = 0.3
"""Of the region: more of it flat panels and letters is a menu. B-mode measured reached 0.15."""
DEEP_SHARE = 0.3
"""Of the depth: what lies above is near field, level in every picture."""
LEVEL_SPREAD = 0.08
"""Standard deviation along rows over the mean, blurred: less is electronic noise alone. The most
level real B-mode, abdominal wall and lung, has 0.128, the phantom's 0.095."""
DIM_SPREAD = 0.11
DIM_LEVEL = 45
"""The same where nothing below the near field is brighter than so many grey levels, as in air."""


def has_echoes(pixels: Pixels, grey: Pixels) -> bool:
    """Whether this looks like tissue at all.

    `pixels` is the region, `(h, w)` grey, uint8, at full resolution; `grey` the network's square.
    """
    lit = cv2.blur(grey, (BLUR_PX, BLUR_PX)) > LIT_LEVEL
    if np.count_nonzero(lit) < LIT_SHARE * lit.size:
        return False
    return not is_noise(grey) and drawn_share(pixels) < DRAWN_SHARE


def is_noise(grey: Pixels) -> bool:
    """Whether a picture's columns are all alike below the near field: noise depends on depth alone.

    False where too little is lit to tell.
    """
    soft = cv2.GaussianBlur(grey, (0, 0), 5).astype(np.float32)
    filled = np.where(cv2.GaussianBlur(grey, (0, 0), 3) > 2, 1, 0).astype(np.uint8)
    inside = cv2.erode(filled, np.ones((15, 15), dtype=np.uint8)) > 0
    rows = np.flatnonzero(np.count_nonzero(inside, axis=1) > grey.shape[1] // 11)
    if len(rows) < 20:
        return False
    rows = rows[int(DEEP_SHARE * len(rows)) :]
    spread, brightest = lateral_spread(soft[rows], inside[rows])
    return spread < LEVEL_SPREAD or (spread < DIM_SPREAD and brightest < DIM_LEVEL)


def lateral_spread(levels: Singles, inside: Flags) -> tuple[float, float]:
    """Return the standard deviation along rows over the mean, and the brightest level.

    `levels` and `inside` are `(rows, columns)`; every row has some column inside.
    """
    count = np.count_nonzero(inside, axis=1)
    mean = np.sum(levels * inside, axis=1) / count
    spread = np.sum(np.square(levels - mean[:, None]) * inside) / np.sum(count)
    overall = float(np.sum(mean * count) / np.sum(count))
    return float(np.sqrt(spread)) / max(1.0, overall), float(np.max(levels * inside))
