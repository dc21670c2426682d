"""Whether a file is as long as its own structure says: demuxers pass over a missing end in silence.

FFmpeg drops the last, cut block of a Matroska file and the last, cut picture of a GIF without an
error, so that a clip that was cut in the middle looks whole. The lengths that containers declare
show it, without any guess about rates or durations.
"""

import struct
from typing import BinaryIO

from neurosono.stream.sources.files.jpeg import JPEG_MAGIC, Bytes, find_jpeg_end

_EBML_MAGIC = b"\x1aE\xdf\xa3"
_MATROSKA_SEGMENT = b"\x18\x53\x80\x67"
_TS_PACKET_BYTES = 188
_RIFF_SLACK_BYTES = 8
"""Writers disagree on whether the header and the padding byte count; a cut is never so short."""
_RIFF_UNKNOWN_FROM = 0xFFFFFFF0
_TAIL_BYTES = 1 << 22
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"


def find_missing_end(file: BinaryIO) -> str | None:
    """Return why the clip in `file` cannot be whole, or None if its structure shows nothing.

    Knows ISO media (mp4, mov), RIFF (avi), Matroska (mkv, webm), GIF, MPEG transport streams and
    JPEGs that follow one another.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(2 * _TS_PACKET_BYTES)
    if head[4:8] == b"ftyp":
        return _measure(_end_of_iso_boxes(file, size), size)
    if head[:4] == b"RIFF":
        return _measure(_end_of_riff(head), size)
    if head[:4] == _EBML_MAGIC:
        return _measure(_end_of_matroska(head), size)
    if head[:3] == b"GIF":
        file.seek(0)
        return None if end_of_gif(file.read()) else "its blocks do not lead to its end"
    if head[:1] == head[_TS_PACKET_BYTES : _TS_PACKET_BYTES + 1] == b"G":
        return "its last packet is cut" if size % _TS_PACKET_BYTES else None
    if head.startswith(JPEG_MAGIC):
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        # A thumbnail inside has an end of its own, but its scan comes before that of the picture.
        return None if tail.rfind(_JPEG_END) > tail.rfind(_JPEG_SCAN) else "its last picture is cut"
    return None


def still_is_whole(data: bytes) -> bool:
    """Return whether a PNG, JPEG or WebP has its end; other formats are left to their decoder."""
    if data.startswith(b"\x89PNG"):
        return end_of_png(data) is not None
    if data.startswith(JPEG_MAGIC):
        return find_jpeg_end(data) is not None
    if data.startswith(b"RIFF"):
        return _measure(_end_of_riff(data), len(data)) is None
    return True


def end_of_png(data: Bytes, start: int = 0) -> int | None:
    """Return the offset behind the end of the PNG at `start`, None where it is cut."""
    at = start + 8
    while at + 12 <= len(data):
        kind, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big")
        at += 12 + length
        if kind == b"IEND":
            return at if at <= len(data) else None
    return None


def _measure(declared_end: int, size: int) -> str | None:
    if declared_end <= size:
        return None
    return f"the file ends at byte {size} of {declared_end}"


def _end_of_iso_boxes(file: BinaryIO, size: int) -> int:
    end = 0
    while end + 8 <= size:
        file.seek(end)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            wide = file.read(8)
            length = struct.unpack(">Q", wide)[0] if len(wide) == 8 else 16
        if length == 0 or not kind.strip(b"\0"):  # up to the end of the file, or padding after it
            return size
        end += max(length, 8)
    return end


def _end_of_riff(head: bytes) -> int:
    length = int(struct.unpack("<I", head[4:8])[0])
    if length == 0 or length >= _RIFF_UNKNOWN_FROM:  # never filled in by the writer
        return 0
    return length + 8 - _RIFF_SLACK_BYTES


def _end_of_matroska(head: bytes) -> int:
    header_length, at = _read_ebml_length(head, len(_EBML_MAGIC))
    at += header_length or 0
    if head[at : at + 4] != _MATROSKA_SEGMENT:
        return 0
    segment_length, at = _read_ebml_length(head, at + 4)
    return 0 if segment_length is None else at + segment_length


def _read_ebml_length(data: bytes, at: int) -> tuple[int | None, int]:
    """Return an EBML length (None if it says unknown) and the offset after it (RFC 8794, 4)."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if width > 8:
        return None, at
    mask = (1 << (7 * width)) - 1
    value = int.from_bytes(data[at : at + width], "big") & mask
    return (None if value == mask else value), at + width


def end_of_gif(data: Bytes, start: int = 0) -> int | None:
    """Walk the blocks of a GIF (GIF89a, 18 to 27); returns the offset behind its last byte."""
    at = start + 13 + _colour_table_bytes(data, start + 10)
    while at < len(data):
        introducer = data[at]
        if introducer == 0x3B:
            return at + 1
        if introducer == 0x2C:
            at += 10 + _colour_table_bytes(data, at + 9) + 1
        elif introducer == 0x21:
            at += 2
        else:
            return None
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return None


def _colour_table_bytes(data: Bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
