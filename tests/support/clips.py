"""Small clips made on the spot: a moving speckled sector on a scanner's screen."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray


def make_screen(
    index: int, seed: int = 0, width: int = 320, height: int = 240
) -> NDArray[np.uint8]:
    """Return a screen, `(H, W, 3)` BGR: a speckled sector that moves, and text beside it."""
    rng = np.random.default_rng(seed)
    speckle = rng.gamma(2.0, 40.0, (height, width)).clip(0, 255).astype(np.uint8)
    speckle = np.roll(cv2.GaussianBlur(speckle, (0, 0), 1.2), (index * 2, index * 3), (0, 1))
    mask = np.zeros((height, width), dtype=np.uint8)
    centre = (width // 2, -height // 6)
    cv2.ellipse(mask, centre, (height, height), 0, 55, 125, 255, -1)
    cv2.circle(mask, centre, height // 3, 0, -1)
    screen = cv2.cvtColor(np.where(mask > 0, speckle, 0).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    cv2.putText(screen, "PHANTOM", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    return np.asarray(screen, dtype=np.uint8)


def write_clip(
    path: Path, pictures: int = 20, seed: int = 0, rate_hz: int = 25, *, moving: bool = True
) -> Path:
    """Write a clip of `pictures` pictures; the container follows the name's ending."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz)
        first = make_screen(0, seed)
        stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for index in range(pictures):
            screen = make_screen(index if moving else 0, seed)
            frame = av.VideoFrame.from_ndarray(screen, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
