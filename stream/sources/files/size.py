"""How many pixels a still says it has, from its first bytes alone.

PNG (ISO/IEC 15948, 11.2.2), JPEG (ITU-T T.81, B.2.2), BMP, WebP (RFC 9649), GIF (GIF89a, 18). A
TIFF has a size a page: see `tiff.Directory`.
"""

import struct

from neurosono.stream.sources.files.jpeg import (
    JPEG_MAGIC,
    START_OF_FRAME,
    Bytes,
    find_frame,
    list_segments,
)

_PNG, _GIF = b"\x89PNG\r\n\x1a\n", b"GIF8"
_CORE_HEADER_BYTES = 12
"""The first kind of BMP has its size in 16 bits each."""


def find_size(data: Bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None where it is none of these, or does not say."""
    try:
        if data[:8] == _PNG:
            return struct.unpack_from(">II", data, 16)
        if data[:3] == JPEG_MAGIC:
            return _find_jpeg_size(data)
        if data[:2] == b"BM":
            return _find_bmp_size(data)
        if data[:4] == _GIF:
            return struct.unpack_from("<HH", data, 6)
        return _find_webp_size(data) if data[8:12] == b"WEBP" else None
    except struct.error:
        return None


def _find_jpeg_size(data: Bytes) -> tuple[int, int] | None:
    frame = find_frame(data)
    if frame is None:  # something stands between its segments; decoders look behind that
        found = [each.payload for each in list_segments(data)[0] if each.marker in START_OF_FRAME]
        frame = next((each for each in found if len(each) >= 6), None)
    if frame is None:
        return None
    height, width = struct.unpack_from(">HH", frame, 1)
    return width, height


def _find_bmp_size(data: Bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == _CORE_HEADER_BYTES:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _find_webp_size(data: Bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + _read_24(data, 24), 1 + _read_24(data, 27)
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _read_24(data: Bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
