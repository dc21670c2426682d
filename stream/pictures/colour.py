"""Which parts of a picture are coloured otherwise than the picture itself.

Scanners tint grey pictures (sepia, steel blue), so colour alone says nothing: coloured is what
differs from the rest of the picture at the same brightness.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Flags, Pixels
from neurosono.engine.preprocess import to_grey

LOOK_PX = 480
"""Longer side of what is looked at: every k-th pixel, so that thin strokes keep their colour."""
TINT_STEPS = 16
"""Steps of brightness for each of which the picture's tint is learnt."""
TINT_REACH = 2
"""Steps to either side from which a tint is learnt too: tints change slowly."""
FEWEST_OF_A_SHADE = 30
"""Pixels of some brightness without which nothing is known of its tint."""
COLOUR_LEVEL = 40
"""Levels by which two channels must differ from the tint. JPEG and H.264 chroma noise on grey
pictures stayed below 25 on all clips measured."""
NEUTRAL_LEVEL = 8
"""Levels by which the channels of a grey picture may differ: no tint that an eye sees."""

_SPAN = 256
"""Of a difference of channels, either way."""


@dataclass(frozen=True, eq=False)
class Coloured:
    """What of a picture is coloured, at every `step`-th pixel.

    `few` is `(h, w, 3)` BGR uint8, `blue` and `red` how far these lie above green, beyond the
    picture's tint, `grey` the brightness, all `(h, w)` int16; `mask` says what is coloured, `lit`
    how many pixels are not black.
    """

    few: Pixels
    blue: NDArray[np.int16]
    red: NDArray[np.int16]
    grey: NDArray[np.int16]
    mask: Flags
    lit: int
    step: int


def drop_colour(pixels: Pixels) -> Pixels:
    """Return a BGR picture that carries no colour as `(h, w)` grey, any other as it is.

    A third of the bytes to look at, to send and to draw on.
    """
    if pixels.ndim == 2:
        return pixels
    few = np.ascontiguousarray(pixels[::8, ::8])  # a tinted picture is told by these alone
    grey = _most_colour(few) <= NEUTRAL_LEVEL and _most_colour(pixels) <= NEUTRAL_LEVEL
    return to_grey(pixels) if grey else pixels


def _most_colour(pixels: Pixels) -> float:
    """Return the levels by which green differs most from blue or red."""
    blue, green, red = cv2.split(pixels)
    return max(cv2.norm(blue, green, cv2.NORM_INF), cv2.norm(red, green, cv2.NORM_INF))


def find_coloured(pixels: Pixels) -> Coloured | None:
    """Return what is coloured on `(h, w)` grey or `(h, w, 3)` BGR, uint8; None where nothing is."""
    if pixels.ndim == 2:
        return None
    step = max(1, round(max(pixels.shape[:2]) / LOOK_PX))
    few = np.ascontiguousarray(pixels[::step, ::step])
    if _most_colour(few) < COLOUR_LEVEL:
        return None
    blue, green, red = (channel.astype(np.int16) for channel in cv2.split(few))
    grey = (blue + red + 2 * green) >> 2
    blue, red = blue - green, red - green
    lit, shade = grey > 0, grey // (256 // TINT_STEPS)
    blue = blue - tint_of(blue, shade, lit)[shade]
    red = red - tint_of(red, shade, lit)[shade]
    strongest = np.maximum(np.maximum(np.abs(blue), np.abs(red)), np.abs(blue - red))
    mask = lit & (strongest > COLOUR_LEVEL)
    if not mask.any():
        return None
    return Coloured(few, blue, red, grey, mask, int(np.count_nonzero(lit)), step)


def tint_of(
    difference: NDArray[np.int16], shade: NDArray[np.int16], lit: Flags
) -> NDArray[np.int16]:
    """Return the picture's own tint: the median channel difference of each shade of grey.

    The median is over a few shades, so that flow, where it is all that is bright, is no tint.
    """
    part = (slice(None, None, 2), slice(None, None, 2))
    cell = shade[part][lit[part]].astype(np.int32) * (2 * _SPAN) + difference[part][lit[part]]
    counts = np.bincount(cell + _SPAN, minlength=TINT_STEPS * 2 * _SPAN)
    counts = counts.reshape(TINT_STEPS, 2 * _SPAN)
    tint = np.zeros(TINT_STEPS, dtype=np.int16)
    for level in range(TINT_STEPS):
        near = counts[max(0, level - TINT_REACH) : level + TINT_REACH + 1].sum(axis=0)
        total = int(near.sum())
        if total >= FEWEST_OF_A_SHADE:
            tint[level] = int(np.searchsorted(np.cumsum(near), (total + 1) // 2)) - _SPAN
    return tint
