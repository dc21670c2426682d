"""JPEG inside DICOM: what must be right before a decoder may see it, and the 8-bit kind."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from neurosono.stream.sources.files.container_end import still_is_whole

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers before the size of a picture (ITU-T T.81, table B.1)."""


def check_jpeg(data: bytes, image: Dataset) -> None:
    """Raise `ValueError` if a JPEG is cut, or is of another size than its DICOM header declares.

    GDCM ends the whole process on some JPEGs of which that is so.
    """
    declared = int(image.Rows), int(image.Columns), int(image.SamplesPerPixel)
    if not still_is_whole(data):
        raise ValueError("the data of a picture are cut")
    if _read_size(data) != declared:
        raise ValueError("a JPEG is not of the size that the file declares")


def decode_baseline(data: bytes, image: Dataset) -> tuple[NDArray[Any], str]:
    """Decode an 8-bit JPEG by OpenCV; returns the samples and what their channels mean.

    GDCM trusts a header that declares RGB where the JPEG holds YCbCr; OpenCV (libjpeg) goes by the
    markers in the JPEG itself. Raises `ValueError` if it cannot be decoded.
    """
    grey = int(image.SamplesPerPixel) == 1
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if samples is None or samples.shape[:2] != (int(image.Rows), int(image.Columns)):
        raise ValueError("a JPEG cannot be decoded")
    return np.asarray(samples), str(image.PhotometricInterpretation) if grey else "RGB"


def _read_size(data: bytes) -> tuple[int, int, int] | None:
    """Return the rows, columns and components of a JPEG, from the first header that has them."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            rows = int.from_bytes(data[at + 5 : at + 7], "big")
            columns = int.from_bytes(data[at + 7 : at + 9], "big")
            return rows, columns, data[at + 9]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
