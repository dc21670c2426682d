"""How wide a still's pixels are for their height, from what each format says of its resolution.

More pixels to the metre across than down means narrow ones: width over height is y over x. Where
no unit is given, PNG and JFIF hold the aspect itself, x to y, as FFmpeg writes and reads it.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction

from neurosono.stream.sources.files.jpeg import JPEG_MAGIC, find_application
from neurosono.stream.sources.files.tiff import Directory, list_directories

_JFIF, _EXIF = (0xE0, b"JFIF\0"), (0xE1, b"Exif\0\0")
_PNG, _BMP = b"\x89PNG", b"BM"


def find_aspect(data: bytes) -> Fraction | None:
    """Return a pixel's width over its height as the still is shown, upright; None if unknown.

    TIFF has it page by page: see `Directory`.
    """
    exif = _read_exif(data)
    own = _own_aspect(data)
    aspect = own if own not in (None, 1) or exif is None else exif.aspect or own
    if aspect and exif is not None and exif.is_transposed:
        return 1 / aspect
    return aspect


def _own_aspect(data: bytes) -> Fraction | None:
    if data.startswith(JPEG_MAGIC):
        jfif = find_application(data, *_JFIF)
        if jfif is None or len(jfif) < 7:
            return None
        return _ratio(*struct.unpack(">HH", jfif[3:7]), is_density=jfif[2] != 0)
    if data.startswith(_PNG):
        for kind, chunk in _png_chunks(data):
            if kind == b"pHYs" and len(chunk) == 9:
                return _ratio(*struct.unpack(">II", chunk[:8]), is_density=chunk[8] != 0)
    if data.startswith(_BMP) and len(data) >= 46:
        return _ratio(*struct.unpack_from("<ii", data, 38))
    return None


def _ratio(across: int, down: int, *, is_density: bool = True) -> Fraction | None:
    if across <= 0 or down <= 0:
        return None
    return Fraction(down, across) if is_density else Fraction(across, down)


def _read_exif(data: bytes) -> Directory | None:
    found: bytes | None = None
    if data.startswith(JPEG_MAGIC):
        found = find_application(data, *_EXIF)
    elif data.startswith(_PNG):
        found = next((chunk for kind, chunk in _png_chunks(data) if kind == b"eXIf"), None)
    elif data[8:12] == b"WEBP":
        found = next((chunk for kind, chunk in _riff_chunks(data) if kind == b"EXIF"), None)
    if not found:
        return None
    try:
        directories = list_directories(found.removeprefix(_EXIF[1]))
    except (ValueError, OverflowError):
        return None  # damaged EXIF says nothing; the picture itself may be whole
    return directories[0] if directories else None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
