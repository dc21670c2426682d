"""The directories of a TIFF, and of the EXIF that other stills carry: what a page is, not its data.

TIFF 6.0, section 2, and BigTIFF, which differs in the width of its offsets.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 262, 274
_BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 258, 277, 322, 323
_X_RESOLUTION, _Y_RESOLUTION, _SUB_DIRECTORIES = 282, 283, 330
_READ = frozenset(
    {_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION}
    | {_SUB_DIRECTORIES, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT}
)
_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 13: "I", 16: "Q", 18: "Q"}
"""Field types that are read, as `struct` has them: 5 is a fraction, 13, 16 and 18 are offsets."""
_MOST_DIRECTORIES = 10_000
_MOST_ENTRIES = 1_000
"""Of one directory; TIFF 6.0 knows 74 tags, EXIF as many again."""
_MOST_VALUES = 4_096
"""Of one tag that is read: the largest number is that of the images within a page."""
_TRANSPOSED_FROM = 5


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF, or one EXIF block. `within` are the images that belong to it."""

    tags: Mapping[int, tuple[int, ...]]
    within: tuple["Directory", ...] = ()

    @property
    def is_reduced(self) -> bool:
        """Whether it is a smaller copy of another image (NewSubfileType, bit 0)."""
        return bool(self.tags.get(_SUBFILE, (0,))[0] & 1)

    @property
    def size_px(self) -> tuple[int, int]:
        """Its width and height."""
        return self.tags.get(_WIDTH, (0,))[0], self.tags.get(_HEIGHT, (0,))[0]

    @property
    def tile_px(self) -> tuple[int, int]:
        """Width and height of its tiles, zeroes where it has none."""
        return self.tags.get(_TILE_WIDTH, (0,))[0], self.tags.get(_TILE_HEIGHT, (0,))[0]

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        width_px, height_px = self.size_px
        return width_px * height_px

    @property
    def bytes(self) -> int:
        """How many bytes it takes as OpenCV decodes it: 8 or 16 bits, one to four samples."""
        bits, samples = max(self.tags.get(_BITS, (1,))), self.tags.get(_SAMPLES, (1,))[0]
        return self.pixels * max(1, min(samples, 4)) * (1 if bits <= 8 else max(2, bits // 8))

    @property
    def is_white_zero(self) -> bool:
        """Whether 0 stands for white."""
        return self.tags.get(_PHOTOMETRIC, (1,))[0] == 0

    @property
    def is_transposed(self) -> bool:
        """Whether rows become columns where it is shown upright."""
        return self.tags.get(_ORIENTATION, (1,))[0] >= _TRANSPOSED_FROM

    @property
    def aspect(self) -> Fraction | None:
        """A stored pixel's width over its height, from the resolutions; None without them."""
        x, y = self.tags.get(_X_RESOLUTION, ()), self.tags.get(_Y_RESOLUTION, ())
        if len(x) < 2 or len(y) < 2 or 0 in (*x[:2], *y[:2]):
            return None
        return Fraction(y[0], y[1]) / Fraction(x[0], x[1])


def list_directories(data: bytes) -> list[Directory]:
    """Return the directories in their order; empty where the data are no TIFF.

    Raises `ValueError` where they do not lead to an end.
    """
    if data[:4] not in TIFF_MAGICS:
        return []
    order, big = "<" if data[:2] == b"II" else ">", b"+" in data[:4]
    try:
        at = _unpack(data, 8 if big else 4, order, "Q" if big else "I")[0]
        return [_read(data, begin, order, big) for begin in _walk(data, at, order, big)]
    except struct.error as error:
        raise ValueError("its directory is cut") from error


def _walk(data: bytes, at: int, order: str, big: bool) -> Iterator[int]:
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) > _MOST_DIRECTORIES:
            raise ValueError("its directories lead round in a circle")
        seen.add(at)
        yield at
        count = _unpack(data, at, order, "Q" if big else "H")[0]
        end = at + (8 + 20 * count if big else 2 + 12 * count)
        at = _unpack(data, end, order, "Q" if big else "I")[0]


def _read(data: bytes, at: int, order: str, big: bool, depth: int = 0) -> Directory:
    count = _unpack(data, at, order, "Q" if big else "H")[0]
    size, field, room = (20, "HHQ", 8) if big else (12, "HHI", 4)
    tags: dict[int, tuple[int, ...]] = {}
    if count > _MOST_ENTRIES:
        raise ValueError(f"a directory has {count} entries, of which {_MOST_ENTRIES} is the most")
    for begin in range(at + (8 if big else 2), at + (8 if big else 2) + size * count, size):
        tag, kind, length = _unpack(data, begin, order, field)
        if tag not in _READ or kind not in _TYPES:
            continue
        if length > _MOST_VALUES:
            raise ValueError(f"a tag has {length} values, of which {_MOST_VALUES} is the most")
        form = _TYPES[kind] * length
        value_at = begin + size - room
        if struct.calcsize(order + form) > room:
            value_at = _unpack(data, value_at, order, "Q" if big else "I")[0]
        tags[tag] = _unpack(data, value_at, order, form)
    offsets = tags.get(_SUB_DIRECTORIES, ()) if depth == 0 else ()
    return Directory(tags, tuple(_read(data, each, order, big, depth=1) for each in offsets))


def _unpack(data: bytes, at: int, order: str, form: str) -> tuple[int, ...]:
    return struct.unpack_from(order + form, data, at)
