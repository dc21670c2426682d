"""The markers of a JPEG (ITU-T T.81, annex B): where it ends, and what stands in its segments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

JPEG_MAGIC = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""In the data of a scan: zero bytes and restarts belong to it."""
_START, _END, _SCAN, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers before the size of a picture (table B.1)."""

MULTI_PICTURE = (0xE2, b"MPF\0")
"""Marker and magic of what lists the pictures of a multi-picture file (CIPA DC-007, 5.1)."""

Bytes = bytes | mmap


@dataclass(frozen=True)
class Segment:
    """One marker segment: `at` is the offset of its payload."""

    marker: int
    at: int
    payload: bytes


def list_segments(data: Bytes, start: int = 0) -> tuple[list[Segment], int | None]:
    """Return the segments of the JPEG at `start`, and the offset behind its end.

    The end is None where the picture is cut, or where its segments do not lead to an end.
    """
    found: list[Segment] = []
    at = start + 2
    while match := _MARKER.search(data, at):
        marker, at = match[1][0], match.end()
        if marker == _END:
            return found, at
        if marker in (_START, _TEMPORARY):
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            break
        found.append(Segment(marker, at + 2, bytes(data[at + 2 : at + length])))
        at += length
    return found, None


def find_jpeg_end(data: Bytes, start: int = 0) -> int | None:
    """Return the offset behind the end of the JPEG at `start`, None where it is cut."""
    return list_segments(data, start)[1]


def find_application(data: Bytes, marker: int, magic: bytes, start: int = 0) -> bytes | None:
    """Return what follows `magic` in the first such application segment, None without one."""
    for segment in _list_head(data, start):
        if segment.marker == marker and segment.payload.startswith(magic):
            return segment.payload[len(magic) :]
    return None


def _list_head(data: Bytes, start: int) -> Iterator[Segment]:
    """Yield the segments before the first scan."""
    at = start + 2
    while match := _MARKER.match(data, at):
        marker, at = match[1][0], match.end()
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in (_END, _SCAN) or length < 2 or at + length > len(data):
            return
        yield Segment(marker, at + 2, bytes(data[at + 2 : at + length]))
        at += length


def find_frame(data: Bytes, start: int = 0) -> bytes | None:
    """Return the payload of the frame header: precision, rows, columns, components."""
    for segment in _list_head(data, start):
        if segment.marker in START_OF_FRAME and len(segment.payload) >= 6:
            return segment.payload
    return None


def next_jpeg(data: Bytes, end: int) -> int | None:
    """Return where another JPEG begins behind one that ended at `end`, over padding alone."""
    at = end
    while at < len(data) and data[at : at + 1] in (b"\0", b"\xff", b"\r", b"\n"):
        if data[at : at + 3] == JPEG_MAGIC:
            return at
        at += 1
    return None
