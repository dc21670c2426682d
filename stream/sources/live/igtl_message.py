"""OpenIGTLink's messages, as far as pictures need them: header, extended header, IMAGE.

Layout: the OpenIGTLink protocol, versions 1 to 3 (openigtlink.org, protocol pages "Header",
"Extended header" and "IMAGE"); all of it big-endian but for the pixels, which say what they are.
A message's CRC64 is not worked out: TCP has its own, and in Python it costs over 0.2 s a picture.
Sizes are checked, each against the others.
"""

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import SourceError
from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.structures.biometry import MM_PER_PX_RANGE
from neurosono.stream.pictures.picture import UNSCALED
from neurosono.stream.sources.files.square import make_square

HEADER = struct.Struct(">H12s20sQQQ")
"""Version, type, device, time (32.32 fixed point, seconds), bytes of the body, its CRC."""

_EXTENDED = struct.Struct(">HHII")
"""Its own size, sizes of the table and of the values of metadata, number of the message."""

_IMAGE = struct.Struct(">HBBBB3H12f6H")
"""Version, components, scalar, endian, axes, size, three directions and a place, which part."""

VERSIONS = range(1, 4)
MOST_BODY_BYTES = 64 << 20
"""A picture of 4096 x 4096 in colours; more is no header of a message."""

_UINT8 = 3
_BITS = {2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 32, 10: 32, 11: 64}
_TO_BGR = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGR}

UNSCALED_MM = 1.0
"""The matrix of whoever has not set one has steps of 1: no scanner's pixel is so large."""


@dataclass(frozen=True)
class Header:
    """What stands before each message; `stamp_s` is None where the sender gives no time."""

    version: int
    kind: str
    device: str
    stamp_s: float | None
    body_bytes: int


@dataclass(frozen=True)
class Image:
    """One picture: `(H, W)` grey or `(H, W, 3)` BGR uint8, of square pixels, and their size."""

    pixels: Pixels
    scale: Scaled


def read_header(data: bytes) -> Header:
    """Read the first `HEADER.size` bytes of a message; raises `SourceError` if they are none."""
    version, kind, device, stamp, body_bytes, _ = HEADER.unpack(data)
    if version not in VERSIONS:
        raise SourceError(
            f"OpenIGTLink of version {version}; expected {VERSIONS.start} to {VERSIONS.stop - 1}"
        )
    if body_bytes > MOST_BODY_BYTES:
        raise SourceError(f"an OpenIGTLink message of {body_bytes} bytes, over {MOST_BODY_BYTES}")
    stamp_s = stamp / 2**32 if stamp else None
    return Header(version, _decode(kind), _decode(device), stamp_s, body_bytes)


def read_image(header: Header, body: bytes) -> Image:
    """Read an IMAGE's body; raises `SourceError` where it is none that can be shown."""
    content = _content(header, body)
    if len(content) < _IMAGE.size:
        raise SourceError(f"an OpenIGTLink IMAGE of {len(content)} bytes lacks its own header")
    _, components, scalar, _, _, *numbers = _IMAGE.unpack_from(content)
    size, matrix, part = numbers[:3], numbers[3:15], numbers[15:]
    if part != [0, 0, 0, *size]:
        raise SourceError("an OpenIGTLink IMAGE of a part of a picture; expected whole pictures")
    width, height, depth = size
    if depth != 1 or not width or not height:
        raise SourceError(
            f"an OpenIGTLink IMAGE of {width} x {height} x {depth}; expected one slice"
        )
    if scalar != _UINT8 or components not in (1, *_TO_BGR):
        raise SourceError(
            f"an OpenIGTLink IMAGE of {components} numbers a pixel, each of "
            f"{_BITS.get(scalar, '?')} bits (type {scalar}); "
            "expected 1, 3 or 4 (grey, RGB, RGBA) of unsigned 8 bits"
        )
    levels = content[_IMAGE.size :]
    if len(levels) != width * height * components:
        raise SourceError(
            f"an OpenIGTLink IMAGE of {width} x {height} x {components} with {len(levels)} bytes"
        )
    pixels = np.frombuffer(levels, np.uint8).reshape(height, width, components)
    decoded = pixels[..., 0]
    if components > 1:
        decoded = np.asarray(cv2.cvtColor(pixels, _TO_BGR[components]), np.uint8)
    return _square(decoded, *(math.hypot(*matrix[at : at + 3]) for at in (0, 3)))


def _decode(name: bytes) -> str:
    return name.split(b"\0")[0].decode("ascii", "replace")


def _content(header: Header, body: bytes) -> bytes:
    """Return what the body holds between extended header and metadata, which come with 2 and 3."""
    if header.version == 1:
        return body
    if len(body) < _EXTENDED.size:
        raise SourceError(f"an OpenIGTLink body of {len(body)} bytes lacks its extended header")
    begin, table_bytes, values_bytes, _ = _EXTENDED.unpack_from(body)
    end = len(body) - table_bytes - values_bytes
    if not _EXTENDED.size <= begin <= end:
        raise SourceError("an OpenIGTLink extended header that is longer than its message")
    return body[begin:end]


def _square(pixels: Pixels, across_mm: float, down_mm: float) -> Image:
    """Return a picture with square pixels; without a size where the matrix holds none."""
    lowest, highest = MM_PER_PX_RANGE
    sides = across_mm, down_mm
    if not all(lowest <= side <= highest for side in sides) or set(sides) == {UNSCALED_MM}:
        return Image(pixels, UNSCALED)
    square = make_square(pixels, Fraction(across_mm / down_mm))
    grown = square.shape != pixels.shape
    mm_per_px = min(sides) if grown else sum(sides) / 2
    return Image(square, Scaled(mm_per_px=mm_per_px, mm_per_px_from=ScaleSource.OPENIGTLINK))
