"""Clips that were joined end to end, as `cat a.mp4 b.mp4` does: FFmpeg reads the first alone.

Each container says where it ends, or where the next begins; what follows is a clip of its own.
"""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

from neurosono.stream.sources.files.container_end import end_of_gif, end_of_png
from neurosono.stream.sources.files.slices import Slice
from neurosono.stream.sources.files.transport import find_joins

_EBML = b"\x1aE\xdf\xa3"
_PNG = b"\x89PNG\r\n\x1a\n"
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_DOCTYPE_WITHIN = 64
_REST_BYTES = 4096
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def find_parts(path: Path) -> tuple[Slice, ...]:
    """Return where each of the clips in a file lies; one that spans the file if none was joined."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = [0]
        for is_one, find_starts in _CONTAINERS:
            if is_one(data):
                starts = sorted({0, *find_starts(data)})
                break
        ends = [*starts[1:], len(data)]
    return tuple((start, end - start) for start, end in zip(starts, ends, strict=True))


def find_rest(path: Path) -> bytes:
    """Return the first bytes of what lies behind a clip's own end, where its container has one.

    Empty where nothing but padding does. Knows ISO media, RIFF, GIF and PNG.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end: int | None = None
        start = max(start for start, _ in find_parts(path))
        if data[4:8] in _BOXES:
            end = max((end for _, end, _ in _list_boxes(data)), default=None)
        elif data[:4] == b"RIFF":
            end = _end_of_chunks(data)
        elif data[:4] == b"GIF8":
            end = end_of_gif(data, start)
        elif data[: len(_PNG)] == _PNG:
            end = end_of_png(data, start)
        rest = b"" if end is None else data[end : end + _REST_BYTES]
        return rest if rest.strip(b"\0\xff") else b""


def _end_of_chunks(data: mmap.mmap) -> int | None:
    at = 0
    while data[at : at + 4] == b"RIFF":
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if length in (0, 0xFFFFFFFF):
            return None
        at += 8 + length + length % 2
    return at


def _begins(magic: bytes) -> Callable[[mmap.mmap], bool]:
    return lambda data: data[: len(magic)] == magic


def _iso_starts(data: mmap.mmap) -> Iterator[int]:
    """Yield where a clip of boxes begins: at its `ftyp`, or, of old QuickTime, by its index."""
    boxes = _list_boxes(data)
    heads = [begin for begin, _, kind in boxes if kind == b"ftyp"]
    indices = [(begin, end) for begin, end, kind in boxes if kind == b"moov"]
    if len(heads) > 1:
        yield from heads
    elif len(indices) > 1:
        index_first = next(kind for *_, kind in boxes if kind in (b"moov", b"mdat")) == b"moov"
        yield from (begin if index_first else end for begin, end in indices if end < len(data))


def _list_boxes(data: mmap.mmap) -> list[tuple[int, int, bytes]]:
    """Return begin, end and kind of each box, up to whatever is none."""
    boxes: list[tuple[int, int, bytes]] = []
    at = 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        end = at + length if length else len(data)
        if end < at + 8 or end > len(data) or not kind.strip(b"\0"):
            break
        boxes.append((at, end, kind))
        at = end
    return boxes


def _riff_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while 0 <= at < len(data):
        if data[at + 8 : at + 12] == b"AVI ":
            yield at
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        # Writers disagree on whether the header and the padding byte count.
        at = data.find(b"RIFF", max(at + 8, at + length), at + length + 16) if length else -1


def _matroska_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while (at := data.find(_EBML, at)) >= 0:
        head = data[at : at + _DOCTYPE_WITHIN]
        if b"matroska" in head or b"webm" in head:
            yield at
        at += len(_EBML)


def _gif_starts(data: mmap.mmap) -> Iterator[int]:
    at: int | None = 0
    while at is not None and data[at : at + 4] == b"GIF8":
        yield at
        at = end_of_gif(data, at)


def _png_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at >= 0:
        yield at
        end = end_of_png(data, at)
        at = -1 if end is None else data.find(_PNG, end, end + len(_PNG))


def _flv_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at + 11 <= len(data):
        if data[at : at + 4] == b"FLV\x01":
            yield at
            at += int.from_bytes(data[at + 5 : at + 9], "big") + 4
        else:
            at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4


def _asf_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at + 24 <= len(data):
        if data[at : at + 16] == ASF_HEADER:
            yield at
        length = int.from_bytes(data[at + 16 : at + 24], "little")
        if length < 24:
            return
        at += length


def _ogg_starts(data: mmap.mmap) -> Iterator[int]:
    at, in_head = 0, False
    while data[at : at + 4] == b"OggS":
        begins = bool(data[at + 5] & 2)
        if begins and not in_head:
            yield at
        in_head = begins
        segments = data[at + 26] if at + 26 < len(data) else 0
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])


def _ivf_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at + 12 <= len(data):
        if data[at : at + 4] == b"DKIF":
            yield at
            at += 32
        else:
            at += 12 + int.from_bytes(data[at : at + 4], "little")


_CONTAINERS: tuple[
    tuple[Callable[[mmap.mmap], bool], Callable[[mmap.mmap], Iterator[int]]], ...
] = (
    (lambda data: data[4:8] in _BOXES, _iso_starts),
    (_begins(b"RIFF"), _riff_starts),
    (_begins(_EBML), _matroska_starts),
    (_begins(b"GIF8"), _gif_starts),
    (_begins(_PNG), _png_starts),
    (_begins(b"FLV\x01"), _flv_starts),
    (_begins(ASF_HEADER), _asf_starts),
    (_begins(b"OggS"), _ogg_starts),
    (_begins(b"DKIF"), _ivf_starts),
    (lambda data: data[:1] == data[188:189] == b"G", find_joins),
)
