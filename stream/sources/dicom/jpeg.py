"""JPEG inside DICOM: what must be right before a decoder may see it, and the 8-bit kind."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from neurosono.stream.sources.files.jpeg import (
    find_application,
    find_frame,
    find_jpeg_end,
    next_jpeg,
)

_JFIF, _ADOBE = (0xE0, b"JFIF\0"), (0xEE, b"Adobe")
_NO_TRANSFORM = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""Adobe's segment, by which a JPEG says that its components are RGB as they are."""


def check_jpeg(data: bytes, image: Dataset) -> None:
    """Raise `ValueError` if a JPEG is cut, or is of another size than its DICOM header declares.

    GDCM ends the whole process on some JPEGs of which that is so.
    """
    declared = int(image.Rows), int(image.Columns), int(image.SamplesPerPixel)
    end = find_jpeg_end(data)
    if end is None:
        raise ValueError("the data of a picture are cut")
    frame = find_frame(data)
    if frame is None or _read_size(frame) != declared:
        raise ValueError("a JPEG is not of the size that the file declares")
    if next_jpeg(data, end) is not None:
        raise ValueError("the data of a picture hold another one behind it")


def decode_baseline(data: bytes, image: Dataset) -> tuple[NDArray[Any], str]:
    """Decode an 8-bit JPEG by OpenCV; returns the samples and what their channels mean.

    GDCM trusts a header that declares RGB where the JPEG holds YCbCr; OpenCV (libjpeg) goes by the
    markers in the JPEG itself. Only where it has none, and its components could be RGB, does what
    DICOM declares decide. Raises `ValueError` if it cannot be decoded.
    """
    grey = int(image.SamplesPerPixel) == 1
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    if not grey and str(image.PhotometricInterpretation) == "RGB" and _could_be_rgb(data):
        data = data[:2] + _NO_TRANSFORM + data[2:]
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if samples is None or samples.shape[:2] != (int(image.Rows), int(image.Columns)):
        raise ValueError("a JPEG cannot be decoded")
    return np.asarray(samples), str(image.PhotometricInterpretation) if grey else "RGB"


def _could_be_rgb(data: bytes) -> bool:
    """Whether no marker says what the components are, and none is at a lower resolution."""
    if any(find_application(data, marker, magic) is not None for marker, magic in (_JFIF, _ADOBE)):
        return False
    frame = find_frame(data) or b""
    return len({frame[at + 1] for at in range(6, len(frame) - 2, 3)}) == 1


def _read_size(frame: bytes) -> tuple[int, int, int]:
    rows, columns = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return rows, columns, frame[5]
