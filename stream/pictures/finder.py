"""Small networks of this project's own that point at things in a picture, run by OpenCV.

OpenCV is here already, and reads 100 KB of weights in milliseconds; an engine of its own would cost
capture 80 MiB and half a second.
"""

import threading
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles

STRIDE = 4
"""Pixels, along each side, for one answer."""


class Finder:
    """One network, from a file in ONNX; each thread that asks has its own copy of it."""

    def __init__(self, path: Path, multiple: int) -> None:
        """`multiple` is what a side must be a multiple of, pixels: pictures are filled up to it."""
        self._path, self._multiple = path, multiple
        self._own = threading.local()

    def find(self, picture: Pixels) -> Singles:
        """Return the chance, 0 to 1, for each `STRIDE` x `STRIDE` pixels, `(h / 4, w / 4)`.

        `picture` is `(h, w)` grey or `(h, w, 3)` BGR, uint8, as the network wants it.
        """
        height, width = picture.shape[:2]
        below, beside = -height % self._multiple, -width % self._multiple
        whole = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        if not hasattr(self._own, "net"):
            self._own.net = cv2.dnn.readNetFromONNX(str(self._path))
        self._own.net.setInput(cv2.dnn.blobFromImage(whole))
        chances: Singles = np.asarray(self._own.net.forward(), np.float32)[0, 0]
        return chances[: -(-height // STRIDE), : -(-width // STRIDE)]

    def forget(self) -> None:
        """Let go of this thread's copy, and of what it worked in: some 60 bytes a pixel."""
        if hasattr(self._own, "net"):
            del self._own.net
