"""The compressed pictures in a DICOM file, one by one, as far as a cut file still holds them.

pydicom's own reader refuses a file that holds fewer pictures than it declares before it has given
the first. This one reads the items of the pixel data (DICOM PS3.5, A.4) in their order instead.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.uid import UID, RLELossless

_ITEM = 0xFFFEE000
UNDEFINED = 0xFFFFFFFF
"""A length that the file does not say (DICOM PS3.5, 7.1)."""
_JPEG_END = b"\xff\xd9"
_PADDING = b"\0"
MOST_ITEMS = 1_000_000
"""More fragments, or offsets of pictures, than any cine has: an empty one is eight bytes long."""
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\xff\x0a", b"\0\0\0\x0cJXL ")
"""How a JPEG, a JPEG-LS, a JPEG 2000 and a JPEG XL picture begin."""


@dataclass(frozen=True)
class Fragment:
    """One item of the pixel data: where its bytes are, and whether all of them are."""

    at: int
    length: int
    whole: bool


def list_fragments(file: BinaryIO, pixels_at: int) -> tuple[list[int], list[Fragment]]:
    """Return the basic offset table and the fragments; reads only the headers of the items.

    Stops without an error at whatever is not an item: the number of pictures shows what is missing.
    """
    size = file.seek(0, 2)
    items: list[Fragment] = []
    at = pixels_at
    while at + 8 <= size:
        file.seek(at)
        group, element, length = struct.unpack("<HHI", file.read(8))
        if group << 16 | element != _ITEM or length == UNDEFINED:
            break
        if len(items) > MOST_ITEMS:
            raise ValueError(f"its pixel data are in more than {MOST_ITEMS} pieces")
        items.append(Fragment(at=at + 8, length=length, whole=at + 8 + length <= size))
        at += 8 + length
    if not items:
        return [], []
    file.seek(items[0].at)
    table = file.read(min(items[0].length, 4 * MOST_ITEMS))
    return list(struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])), items[1:]


def count_pictures(file: BinaryIO, pixels_at: int, syntax: UID) -> int:
    """Return how many pictures begin in the fragments, whatever the header declares.

    RLE has one fragment a picture (DICOM PS3.5, A.4.2).
    """
    offsets, fragments = list_fragments(file, pixels_at)
    if syntax == RLELossless:
        return len(fragments)
    begun = 0
    for fragment in fragments:
        file.seek(fragment.at)
        begun += file.read(8).startswith(_STARTS)
    return begun or len(offsets)


def group_fragments(
    file: BinaryIO, pixels_at: int, frame_count: int
) -> Iterator[tuple[Fragment, ...]]:
    """Yield the fragments of one picture after the other; ends early where data are missing."""
    offsets, fragments = list_fragments(file, pixels_at)
    if frame_count == 1:
        groups = iter([tuple(fragments)] if fragments else [])
    elif len(offsets) == frame_count and len(fragments) > frame_count:
        groups = _group_by_offset(offsets, fragments)
    elif len(fragments) > frame_count:
        groups = _group_by_end_marker(file, fragments)
    else:
        groups = ((fragment,) for fragment in fragments)
    for group in groups:
        if not all(fragment.whole for fragment in group):
            return
        yield group


def read_fragments(file: BinaryIO, group: tuple[Fragment, ...]) -> bytes:
    """Return the bytes of one compressed picture."""
    parts = []
    for fragment in group:
        file.seek(fragment.at)
        parts.append(file.read(fragment.length))
    return b"".join(parts)


def _group_by_offset(
    offsets: list[int], fragments: list[Fragment]
) -> Iterator[tuple[Fragment, ...]]:
    # The table counts from the tag of the first fragment, which lies 8 bytes before its data.
    first = fragments[0].at
    ends = [*offsets[1:], UNDEFINED]
    for start, end in zip(offsets, ends, strict=True):
        group = tuple(item for item in fragments if start <= item.at - first < end)
        if not group:
            return
        yield group


def _group_by_end_marker(
    file: BinaryIO, fragments: list[Fragment]
) -> Iterator[tuple[Fragment, ...]]:
    """Group by the marker that ends every JPEG, JPEG-LS and JPEG 2000 picture."""
    group: list[Fragment] = []
    for fragment in fragments:
        group.append(fragment)
        file.seek(fragment.at + max(fragment.length - 4, 0))
        if file.read(min(fragment.length, 4)).rstrip(_PADDING).endswith(_JPEG_END):
            yield tuple(group)
            group = []
