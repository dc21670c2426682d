"""Stills, decoded by OpenCV."""

import re
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.clip import STILL_S, ClipPicture, Region
from neurosono.stream.sources.files.container_end import end_of_png, still_is_whole
from neurosono.stream.sources.files.density import find_aspect
from neurosono.stream.sources.files.jpeg import (
    JPEG_MAGIC,
    MULTI_PICTURE,
    find_application,
    find_jpeg_end,
)
from neurosono.stream.sources.files.kinds import looks_like_media
from neurosono.stream.sources.files.size import find_size
from neurosono.stream.sources.files.square import make_square
from neurosono.stream.sources.files.tiff import TIFF_MAGICS, Directory, list_directories
from neurosono.stream.sources.identity import Identity
from neurosono.stream.sources.left_out import Reason
from neurosono.stream.sources.limits import DEFAULT, MediaLimits

# Grey stays grey, alpha is dropped, 16 bits are kept for us to scale, EXIF orientation is applied.
READ_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH

HEIF_REASON = "it is HEIF or AVIF, whose pictures lie in tiles that would be seen as pictures"
SHALLOW_BITS = (8, 10, 12)
"""Depths that writers put into 16 bits as they are. Decision: of a whole picture nothing is over a
sixteenth of the range, which as 16 bits would be black to the eye."""

_NAMES = {b"\x89P": "png", b"\xff\xd8": "jpg", b"BM": "bmp", b"II": "tiff", b"MM": "tiff"}
_WEBP_ANIMATION_BIT = 0x02
_SLACK = b"\0\xff\r\n"
"""Padding behind a picture's end."""


@dataclass(frozen=True)
class StillClip:
    """A still that was decoded once; each page of a TIFF is a picture that lasts half a second."""

    path: Path
    format_name: str
    limits: MediaLimits = DEFAULT
    interval_s: float = STILL_S
    noun: str = "still"
    us_regions: tuple[Region, ...] = ()
    left_out: tuple[Reason, ...] = ()
    identity: Identity = field(default_factory=dict)

    def pictures(self) -> Generator[ClipPicture]:
        """Decode the still again, so that an exam of many does not sit in memory.

        Raises `SourceBrokenError` at its end if pictures or a clip lie behind it.
        """
        began_s = time.perf_counter()
        try:
            pages = _decode(_read(self.path, self.limits), self.limits)
        except (OSError, ValueError, MemoryError) as error:
            raise SourceBrokenError(_explain(error), frame=0) from error
        decode_ms = (time.perf_counter() - began_s) * 1e3 / len(pages.shown)
        for index, pixels in enumerate(pages.shown):
            yield ClipPicture(index * STILL_S, pixels, decode_ms)
        if pages.unread is not None:
            raise SourceBrokenError(pages.unread, frame=len(pages.shown))


@dataclass(frozen=True)
class _Pages:
    """The pictures of a still; `unread` says what else it holds that should have been shown."""

    shown: list[Pixels]
    left_out: tuple[Reason, ...] = ()
    unread: str | None = None


def open_still(path: Path, limits: MediaLimits = DEFAULT) -> StillClip:
    """Decode a still once to know that it can be; raises `SourceError` if not."""
    try:
        data = _read(path, limits)
        pages = _decode(data, limits)
    except (OSError, ValueError, MemoryError) as error:
        raise SourceError(
            f"cannot use {str(path)!r} as a still: {_explain(error)}; "
            "expected a whole PNG, JPEG, BMP, TIFF or WebP, so export it again or leave it out"
        ) from error
    return StillClip(path, _NAMES.get(data[:2], "webp"), limits, left_out=pages.left_out)


def _read(path: Path, limits: MediaLimits) -> bytes:
    limits.check_bytes(path.stat().st_size)
    return path.read_bytes()


def _explain(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "decoding it takes more memory than --max-megabytes allows"
    return getattr(error, "strerror", None) or str(error)


def _decode(data: bytes, limits: MediaLimits) -> _Pages:
    """Return the pages of a still, mostly one; raises `ValueError` with the reason."""
    if not data:
        raise ValueError("it is empty (0 bytes)")
    if not still_is_whole(data):
        raise ValueError("its end is missing")
    if data[8:16] == b"WEBPVP8X" and data[20] & _WEBP_ANIMATION_BIT:
        raise ValueError("it is an animated WebP, of which only the first picture would be seen")
    if data[4:8] == b"ftyp":
        raise ValueError(HEIF_REASON)
    if data.startswith(TIFF_MAGICS):
        return _decode_tiff(data, limits)
    if data.startswith(JPEG_MAGIC):
        return _decode_jpegs(data, limits)
    page = _decode_one(data, limits)
    return _Pages([page], *_judge_rest(data[_find_end(data) :]))


def _find_end(data: bytes) -> int:
    """Return where a PNG, WebP or BMP ends by its own account."""
    if data.startswith(b"\x89PNG"):
        return end_of_png(data) or len(data)
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8
    return int.from_bytes(data[2:6], "little") or len(data) if data.startswith(b"BM") else len(data)


def _decode_one(data: bytes, limits: MediaLimits) -> Pixels:
    size_px = find_size(data)
    if size_px is None:  # OpenCV knows other kinds, of which nobody looked how large they become
        raise ValueError("it does not say how large it is")
    limits.check_picture(*size_px)
    try:
        page = cv2.imdecode(np.frombuffer(data, np.uint8), READ_FLAGS)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot decode it ({error.err or 'unknown error'})") from error
    if page is None:
        raise ValueError("OpenCV cannot decode it")
    return make_square(_to_eight_bits(np.asarray(page)), find_aspect(data))


def _decode_jpegs(data: bytes, limits: MediaLimits) -> _Pages:
    """Return the pictures of a JPEG, several of a multi-picture file; smaller ones are copies."""
    shown: list[Pixels] = []
    smaller = start = 0
    several = find_application(data, *MULTI_PICTURE) is not None
    while True:
        end = find_jpeg_end(data, start)
        if end is None:
            raise ValueError("its end is missing" if not shown else "one of its pictures is cut")
        page = _decode_one(data[start:end], limits)
        limits.check_bytes(page.nbytes + sum(each.nbytes for each in shown))
        if shown and page.size < shown[0].size:
            smaller += 1
        else:
            shown.append(page)
        found = data.find(JPEG_MAGIC, end) if several else -1
        if found < 0:
            break
        start = found
    left_out, unread = _judge_rest(data[end:])
    return _Pages(shown, (*(Reason.THUMBNAIL,) * smaller, *left_out), unread)


def _judge_rest(rest: bytes) -> tuple[tuple[Reason, ...], str | None]:
    """Return what to say of the bytes behind a picture's end."""
    if not rest.strip(_SLACK):
        return (), None
    if looks_like_media(rest.lstrip(_SLACK)) or _FILM_INSIDE.search(rest):
        return (), "another picture or a film lies behind its end, and was not read"
    return (Reason.TRAILING,), None


_FILM_INSIDE = re.compile(rb"\0\0\0[\x0c-\x40]ftyp[a-zA-Z0-9]{3}")


def _decode_tiff(data: bytes, limits: MediaLimits) -> _Pages:
    directories = list_directories(data)
    for directory in directories:
        limits.check_picture(*directory.size_px)
        limits.check_picture(*directory.tile_px)
    limits.check_bytes(sum(each.bytes for each in directories))
    try:
        _, found = cv2.imdecodemulti(np.frombuffer(data, np.uint8), READ_FLAGS)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot decode it ({error.err or 'unknown error'})") from error
    if not found:
        raise ValueError("OpenCV cannot decode it")
    if len(found) != len(directories):
        raise ValueError(f"only {len(found)} of its {len(directories)} pages can be decoded")
    within = [each for directory in directories for each in directory.within]
    largest = max((each.pixels for each in within), default=0)
    if all(each.is_reduced for each in directories) or largest > max(
        each.pixels for each in directories
    ):
        raise ValueError("only a smaller copy of its picture can be read")
    shown = []
    for page, directory in zip(found, directories, strict=True):
        if not directory.is_reduced:
            shown.append(_show_page(np.asarray(page), directory))
    smaller = len(found) - len(shown) + len(within)
    return _Pages(shown, (Reason.THUMBNAIL,) * smaller)


def _show_page(page: NDArray[np.generic], directory: Directory) -> Pixels:
    if page.dtype == np.uint16 and directory.is_white_zero:  # OpenCV turns only 8 bits round
        page = np.uint16(0xFFFF) - page.astype(np.uint16, copy=False)
    aspect = directory.aspect
    return make_square(
        _to_eight_bits(page), 1 / aspect if aspect and directory.is_transposed else aspect
    )


def _to_eight_bits(page: NDArray[np.generic]) -> Pixels:
    if page.dtype == np.uint8:
        return page.astype(np.uint8, copy=False)
    if page.dtype == np.uint16:
        deep = page.astype(np.uint16, copy=False)
        brightest = int(deep.max()).bit_length()
        bits = next((each for each in SHALLOW_BITS if brightest <= each), 16)
        return (deep >> (bits - 8)).astype(np.uint8)
    raise ValueError(f"its samples are {page.dtype}, not of 8 or 16 bits")
