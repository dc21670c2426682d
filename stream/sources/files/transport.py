"""Where MPEG transport streams were joined: whole on both sides, but their counters begin anew.

A packet that was lost on the way breaks a counter too, in the middle of a picture. At a join a
table begins anew (ISO/IEC 13818-1, 2.4.4.3) and the next packet of the video begins a picture.
"""

import mmap
from collections.abc import Iterator

PACKET_BYTES = 188
_TABLES = frozenset({0x00, 0x11})
"""The program association table, and the service description that some writers put before it."""


def find_joins(data: mmap.mmap) -> Iterator[int]:
    """Yield where a stream begins anew inside a file of packets of 188 bytes."""
    counters: dict[int, int] = {}
    begun_at: int | None = None
    for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES):
        head = data[at : at + 4]
        if head[0] != 0x47:
            return
        pid = (head[1] & 0x1F) << 8 | head[2]
        has_payload = bool(head[3] & 0x10)
        starts_unit = bool(head[1] & 0x40)
        breaks = has_payload and pid in counters and (counters[pid] + 1) & 15 != head[3] & 15
        if has_payload:
            counters[pid] = head[3] & 15
        if pid in _TABLES:
            if begun_at is None and breaks:
                begun_at = at
        elif begun_at is not None and has_payload and _carries_video(data, at, starts_unit):
            yield begun_at
            begun_at = None
        elif begun_at is not None and has_payload and not starts_unit:
            begun_at = None  # a unit goes on over the gap: packets were lost, nothing was joined


def _carries_video(data: mmap.mmap, at: int, starts_unit: bool) -> bool:
    """Whether a packet begins a unit of video (stream id 0xE0 to 0xEF)."""
    if not starts_unit:
        return False
    skip = 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
    unit = data[at + skip : at + skip + 4]
    return unit[:3] == b"\0\0\1" and 0xE0 <= unit[3] <= 0xEF
