"""The notebook's ring as bytes: how an entry stands in it, and what of it is believed.

Beside each entry stand its position and a checksum, so one that was half written when its writer
was killed is not believed, and whatever was written over the ring is told from entries.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = struct.Struct("<4sIQI")
"""magic, payload bytes, position of the entry, CRC-32 of position and payload."""
MAGIC = b"NSJE"

_PREFACE = struct.Struct("<4sIQ")
"""magic, version, bytes of the ring that follows: so a file that was cut short is known to be."""
PREFACE = _PREFACE.size
_PREFACE_MAGIC, _VERSION = b"NSJR", 1


@dataclass(frozen=True)
class Found:
    """What a ring holds from `start` on: each entry, and where it ends.

    `noise` is what stands where an entry should and is none; `damaged` says that there was any, or
    that some of the ring is missing.
    """

    start: int
    entries: tuple[tuple[bytes, int], ...]
    noise: bytes
    damaged: bool


def pack_preface(size: int) -> bytes:
    """Return what stands before a ring of `size` bytes."""
    return _PREFACE.pack(_PREFACE_MAGIC, _VERSION, size)


def pack_header(position: int, parts: Sequence[bytes | memoryview]) -> bytes:
    """Return the header of an entry at `position`."""
    crc, length = zlib.crc32(position.to_bytes(8, "little")), 0
    for part in parts:
        crc, length = zlib.crc32(part, crc), length + len(part)
    return HEADER.pack(MAGIC, length, position, crc)


def read_ring(data: bytes, start: int) -> Found:
    """Return what is to be believed of a ring's file; entries before `start` were read in."""
    size, damaged = _read_preface(data)
    ring = data[PREFACE : PREFACE + size]
    twice = ring + ring  # an entry may go round the end
    found: dict[int, tuple[bytes, int]] = {}
    at = twice.find(MAGIC)
    while 0 <= at < len(ring):
        entry = _read_entry(twice, at)
        if entry is not None:
            position, payload = entry
            found[position] = payload, position + HEADER.size + len(payload)
            at += HEADER.size + len(payload) - 1
        at = twice.find(MAGIC, at + 1)
    entries, noise, expected = [], b"", start
    for position in sorted(each for each in found if each >= start):
        if position != expected:
            damaged, noise = True, noise + _cut(twice, expected, position)
        payload, expected = found[position]
        entries.append((payload, expected))
    is_full = expected - start + HEADER.size > len(ring)
    left = b"" if is_full else _cut(twice, expected, expected + HEADER.size)
    # a half-written entry has no header yet, and what was read in is blank
    if any(left[: len(MAGIC)]) and not _is_old(left, start):
        damaged, noise = True, noise + left
    return Found(start, tuple(entries), noise, damaged)


def _read_preface(data: bytes) -> tuple[int, bool]:
    """Return the ring's size, and whether it is not as it was made."""
    if len(data) < PREFACE:
        return 0, True
    magic, version, size = _PREFACE.unpack_from(data)
    if magic != _PREFACE_MAGIC or version != _VERSION:
        return len(data) - PREFACE, True
    return size, len(data) < PREFACE + size


def _read_entry(twice: bytes, at: int) -> tuple[int, bytes] | None:
    if at + HEADER.size > len(twice):
        return None
    _, length, position, crc = HEADER.unpack_from(twice, at)
    if length > len(twice) // 2 - HEADER.size:
        return None
    payload = twice[at + HEADER.size : at + HEADER.size + length]
    if zlib.crc32(payload, zlib.crc32(position.to_bytes(8, "little"))) != crc:
        return None
    return position, payload


def _is_old(left: bytes, start: int) -> bool:
    """Whether it is the header of an entry that was read in and not blanked: a kill came first."""
    if len(left) < HEADER.size:
        return False
    magic, _, position, _ = HEADER.unpack(left)
    return bool(magic == MAGIC and position < start)


def _cut(twice: bytes, begin: int, end: int) -> bytes:
    size = len(twice) // 2
    place = begin % size if size else 0
    return twice[place : place + min(end - begin, size)]
