"""A contact sheet: frames of an exam side by side, to look at."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.stream.phantom.exam import PhantomFrame


def tile_frames(
    frames: Sequence[PhantomFrame], columns: int = 4, tile_px: tuple[int, int] = (400, 300)
) -> NDArray[np.uint8]:
    """Return the frames as one picture, (rows * h, columns * w, 3) BGR, each with its truth."""
    w, h = tile_px
    rows = -(-len(frames) // columns)
    sheet = np.zeros((rows * h, columns * w, 3), np.uint8)
    for k, frame in enumerate(frames):
        tile = cv2.resize(frame.pixels, (w, h), interpolation=cv2.INTER_AREA)
        text = f"{frame.index} {frame.kind} {frame.plane}"
        cv2.putText(tile, text, (4, h - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (90, 255, 90), 1)
        y, x = k // columns * h, k % columns * w
        sheet[y : y + h, x : x + w] = tile
    return sheet
