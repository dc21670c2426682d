"""Whether colour or power Doppler is laid over a picture.

Scanners tint grey pictures (sepia, steel blue), so colour alone says nothing: Doppler is what is
coloured otherwise than the rest of the picture at the same brightness.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.preprocess import to_grey

LOOK_PX = 480
"""Longer side of what is looked at: every k-th pixel, so that thin strokes keep their colour."""
TINT_STEPS = 16
"""Steps of brightness for each of which the picture's tint is learnt."""
TINT_REACH = 2
"""Steps to either side from which a tint is learnt too: tints change slowly."""
COLOUR_LEVEL = 40
"""Levels by which two channels must differ from the tint. JPEG and H.264 chroma noise on grey
pictures stayed below 25 on all clips measured."""
BOTH_SHARE = 0.0006
"""Of the lit pixels, warm and cold each: towards and away. On 600 grey phantom frames, 24 whole
screens and a clip with coloured letters the lesser of the two reached 0.0003; on 200 Doppler
pictures it was 0.0008 and more."""
ONE_SHARE = 0.01
"""Of the lit pixels, warm or cold alone: power Doppler, or flow one way. Coloured letters and
cross-hairs reached 0.0035."""

NEUTRAL_LEVEL = 8
"""Levels by which the channels of a grey picture may differ: no tint that an eye sees."""


def drop_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a BGR picture that carries no colour as `(h, w)` grey, any other as it is.

    A third of the bytes to look at, to send and to draw on.
    """
    if pixels.ndim == 2:
        return pixels
    few = np.ascontiguousarray(pixels[::8, ::8])  # a tinted picture is told by these alone
    return to_grey(pixels) if _is_neutral(few) and _is_neutral(pixels) else pixels


def _is_neutral(pixels: NDArray[np.uint8]) -> bool:
    blue, green, red = cv2.split(pixels)
    furthest = max(cv2.norm(blue, green, cv2.NORM_INF), cv2.norm(red, green, cv2.NORM_INF))
    return furthest <= NEUTRAL_LEVEL


def has_doppler(pixels: NDArray[np.uint8]) -> bool:
    """Whether `pixels`, `(h, w)` grey or `(h, w, 3)` BGR, carry flow colours; grey never does."""
    if pixels.ndim == 2:
        return False
    warm, cold = flow_shares(pixels)
    return min(warm, cold) >= BOTH_SHARE or max(warm, cold) >= ONE_SHARE


def flow_shares(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Return which shares of the lit pixels are coloured warm (red) and cold (blue), 0 to 1."""
    step = max(1, round(max(pixels.shape[:2]) / LOOK_PX))
    few = cv2.split(np.ascontiguousarray(pixels[::step, ::step]))
    if max(cv2.norm(few[0], few[1], cv2.NORM_INF), cv2.norm(few[2], few[1], cv2.NORM_INF)) < (
        COLOUR_LEVEL
    ):
        return 0.0, 0.0
    blue, green, red = (channel.astype(np.int16) for channel in few)
    blueness, redness = blue - green, red - green
    grey = (blue + red + 2 * green) >> 2
    lit = grey > 0
    shade = grey // (256 // TINT_STEPS)
    blueness = blueness - tint_of(blueness, shade, lit)[shade]
    redness = redness - tint_of(redness, shade, lit)[shade]
    strongest = np.maximum(np.abs(blueness), np.abs(redness))
    coloured = lit & (np.maximum(strongest, np.abs(blueness - redness)) > COLOUR_LEVEL)
    count = max(1, int(np.count_nonzero(lit)))
    warm = int(np.count_nonzero(coloured & (redness > blueness + COLOUR_LEVEL // 2)))
    cold = int(np.count_nonzero(coloured & (blueness > redness + COLOUR_LEVEL // 2)))
    return warm / count, cold / count


def tint_of(
    difference: NDArray[np.int16], shade: NDArray[np.int16], lit: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """Return the picture's own tint: the median channel difference of each shade of grey.

    The median is over a few shades, so that flow, where it is all that is bright, is no tint.
    """
    tint = np.zeros(TINT_STEPS, dtype=np.int16)
    for level in range(TINT_STEPS):
        same = difference[lit & (np.abs(shade - level) <= TINT_REACH)]
        if same.size >= 30:
            tint[level] = int(np.median(same))
    return tint
