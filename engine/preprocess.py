"""Region pixels to network input: the same code in training, replay and live.

Normalisation is not here: it lives inside the compiled graph, so that uint8 travels.
"""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import Fit, PreprocessingSpec

HALVED_FROM = 4
"""Times the size asked for, along both sides, from which a picture is halved first."""


def to_grey(pixels: Pixels) -> Pixels:
    """Return `(H, W)` grey for `(H, W)` grey or `(H, W, 3)` BGR, uint8."""
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def preprocess(pixels: Pixels, spec: PreprocessingSpec) -> Pixels:
    """Bring a region into the network's square.

    `pixels` is `(H, W)` grey or `(H, W, 3)` BGR, uint8; returns `(size_px, size_px)` uint8. Shrinks
    by area averaging (no aliasing of speckle), grows bilinearly. Raises `InputError` on an empty
    region or another dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or min(pixels.shape[:2]) < 1:
        raise InputError(f"a region must be uint8 pixels, found {pixels.shape} {pixels.dtype}")
    grey = to_grey(pixels)
    if spec.fit is Fit.LETTERBOX:
        return _letterbox(grey, spec.size_px)
    return _center_crop(grey, spec.resize_px, spec.size_px)


def resize(grey: Pixels, height_px: int, width_px: int) -> Pixels:
    """Bring `(H, W)` uint8 to another size: shrinks by area averaging, grows bilinearly.

    Much larger pictures are halved first, over whole blocks of four pixels: that is a third of the
    work, and what is left to average is still `HALVED_FROM` / 2 pixels wide.
    """
    while grey.shape[0] >= HALVED_FROM * height_px and grey.shape[1] >= HALVED_FROM * width_px:
        half = grey.shape[1] // 2, grey.shape[0] // 2
        even = grey[: 2 * half[1], : 2 * half[0]]
        grey = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shrinks = height_px < grey.shape[0] or width_px < grey.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width_px, height_px), interpolation=way), dtype=np.uint8)


def _letterbox(grey: Pixels, size_px: int) -> Pixels:
    height, width = grey.shape
    scale = size_px / max(height, width)
    inner_h, inner_w = max(1, round(height * scale)), max(1, round(width * scale))
    square = np.zeros((size_px, size_px), dtype=np.uint8)
    top, left = (size_px - inner_h) // 2, (size_px - inner_w) // 2
    square[top : top + inner_h, left : left + inner_w] = resize(grey, inner_h, inner_w)
    return square


def _center_crop(grey: Pixels, resize_px: int, size_px: int) -> Pixels:
    height, width = grey.shape
    scale = resize_px / min(height, width)
    scaled = resize(grey, max(size_px, round(height * scale)), max(size_px, round(width * scale)))
    top, left = (scaled.shape[0] - size_px) // 2, (scaled.shape[1] - size_px) // 2
    return np.ascontiguousarray(scaled[top : top + size_px, left : left + size_px])


def letterbox_box(height_px: int, width_px: int, size_px: int) -> tuple[int, int, int, int]:
    """Return `x, y, w, h`, in input pixels, of the region inside the letterboxed square."""
    scale = size_px / max(height_px, width_px)
    inner_h, inner_w = max(1, round(height_px * scale)), max(1, round(width_px * scale))
    return (size_px - inner_w) // 2, (size_px - inner_h) // 2, inner_w, inner_h
