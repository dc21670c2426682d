"""Stills, decoded by OpenCV."""

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.clip import STILL_S, ClipPicture, Region
from neurosono.stream.sources.files.container_end import still_is_whole

# Grey stays grey, alpha is dropped, 16 bits are kept for us to scale, EXIF orientation is applied.
READ_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH

_TIFF_MAGICS = (b"II*\0", b"MM\0*")
_NAMES = {b"\x89P": "png", b"\xff\xd8": "jpg", b"BM": "bmp", b"II": "tiff", b"MM": "tiff"}
_WEBP_ANIMATION_BIT = 0x02


@dataclass(frozen=True)
class StillClip:
    """A still that was decoded once; each page of a TIFF is a picture that lasts half a second."""

    path: Path
    format_name: str
    interval_s: float = STILL_S
    noun: str = "still"
    us_regions: tuple[Region, ...] = ()

    def pictures(self) -> Generator[ClipPicture]:
        """Decode the still again, so that an exam of many does not sit in memory."""
        began_s = time.perf_counter()
        try:
            pages = _decode(self.path.read_bytes())
        except (OSError, ValueError) as error:
            raise SourceBrokenError(str(error), frame=0) from error
        decode_ms = (time.perf_counter() - began_s) * 1e3 / len(pages)
        for index, pixels in enumerate(pages):
            yield ClipPicture(index * STILL_S, pixels, decode_ms)


def open_still(path: Path) -> StillClip:
    """Decode a still once to know that it can be; raises `SourceError` if not."""
    try:
        data = path.read_bytes()
        _decode(data)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"cannot use {str(path)!r} as a still: {getattr(error, 'strerror', None) or error}; "
            "expected a whole PNG, JPEG, BMP, TIFF or WebP, so export it again or leave it out"
        ) from error
    return StillClip(path=path, format_name=_NAMES.get(data[:2], "webp"))


def _decode(data: bytes) -> list[NDArray[np.uint8]]:
    """Return the pages of a still, mostly one; raises `ValueError` with the reason."""
    if not data:
        raise ValueError("it is empty (0 bytes)")
    if not still_is_whole(data):
        raise ValueError("its end is missing")
    if data[8:16] == b"WEBPVP8X" and data[20] & _WEBP_ANIMATION_BIT:
        raise ValueError("it is an animated WebP, of which only the first picture would be seen")
    encoded = np.frombuffer(data, np.uint8)
    try:
        if data.startswith(_TIFF_MAGICS):
            _, pages = cv2.imdecodemulti(encoded, READ_FLAGS)
        else:
            page = cv2.imdecode(encoded, READ_FLAGS)
            pages = () if page is None else (page,)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot decode it ({error.err or 'unknown error'})") from error
    if not pages:
        raise ValueError("OpenCV cannot decode it")
    return [_to_eight_bits(np.asarray(page)) for page in pages]


def _to_eight_bits(page: NDArray[np.generic]) -> NDArray[np.uint8]:
    if page.dtype == np.uint8:
        return page.astype(np.uint8, copy=False)
    if page.dtype == np.uint16:
        # The format's full range, as every viewer shows it: what is in it may be a quarter of that.
        return (page.astype(np.uint16, copy=False) >> 8).astype(np.uint8)
    raise ValueError(f"its samples are {page.dtype}, not of 8 or 16 bits")
