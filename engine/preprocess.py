"""Region pixels to network input: the same code in training, replay and live.

Normalisation is not here: it lives inside the compiled graph, so that uint8 travels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.contracts.errors import InputError
from engine.contracts.preprocessing import Fit, PreprocessingSpec


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `(H, W)` grey for `(H, W)` grey or `(H, W, 3)` BGR, uint8."""
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def preprocess(pixels: NDArray[np.uint8], spec: PreprocessingSpec) -> NDArray[np.uint8]:
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


def _resize(grey: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    shrinks = height_px < grey.shape[0] or width_px < grey.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width_px, height_px), interpolation=way), dtype=np.uint8)


def _letterbox(grey: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    height, width = grey.shape
    scale = size_px / max(height, width)
    inner_h, inner_w = max(1, round(height * scale)), max(1, round(width * scale))
    square = np.zeros((size_px, size_px), dtype=np.uint8)
    top, left = (size_px - inner_h) // 2, (size_px - inner_w) // 2
    square[top : top + inner_h, left : left + inner_w] = _resize(grey, inner_h, inner_w)
    return square


def _center_crop(grey: NDArray[np.uint8], resize_px: int, size_px: int) -> NDArray[np.uint8]:
    height, width = grey.shape
    scale = resize_px / min(height, width)
    scaled = _resize(grey, max(size_px, round(height * scale)), max(size_px, round(width * scale)))
    top, left = (scaled.shape[0] - size_px) // 2, (scaled.shape[1] - size_px) // 2
    return np.ascontiguousarray(scaled[top : top + size_px, left : left + size_px])


def letterbox_box(height_px: int, width_px: int, size_px: int) -> tuple[int, int, int, int]:
    """Return `x, y, w, h`, in input pixels, of the region inside the letterboxed square."""
    scale = size_px / max(height_px, width_px)
    inner_h, inner_w = max(1, round(height_px * scale)), max(1, round(width_px * scale))
    return (size_px - inner_w) // 2, (size_px - inner_h) // 2, inner_w, inner_h
