"""Square pixels, for pictures whose file says that theirs are not; without FFmpeg's libraries."""

from fractions import Fraction

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels

ASPECT_TOLERANCE = 0.02
"""Pixels that are off square by less stay as they are: a resize would blur every speckle to mend
what nobody sees, and encoders leave such values when they round a size to even numbers."""

LARGEST_ASPECT = 4.0
"""Pixels further off square than this are taken for a damaged header and left alone; anamorphic
video goes up to 64:45 = 1.42."""


def square_size(width_px: int, height_px: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the width and height that make pixels square; only ever enlarges one of the two."""
    ratio = float(aspect) if aspect else 1.0
    if abs(ratio - 1) <= ASPECT_TOLERANCE or not 1 / LARGEST_ASPECT <= ratio <= LARGEST_ASPECT:
        return width_px, height_px
    if ratio > 1:
        return round(width_px * ratio), height_px
    return width_px, round(height_px / ratio)


def make_square(pixels: Pixels, aspect: Fraction | None) -> Pixels:
    """Return a picture, `(H, W)` or `(H, W, 3)`, with square pixels, as FFmpeg's scaler has it."""
    height_px, width_px = pixels.shape[:2]
    size_px = square_size(width_px, height_px, aspect)
    if size_px == (width_px, height_px):
        return pixels
    return np.asarray(cv2.resize(pixels, size_px, interpolation=cv2.INTER_CUBIC), np.uint8)
