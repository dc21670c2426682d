"""What travels between processes: one ZeroMQ part a message, never pickle.

A message is a fixed header, then `body_bytes` of the codec, then the pixels of a picture or none.
A single part, because ZeroMQ's CONFLATE keeps one part of a multipart message.
"""

import struct
import time
from typing import Any

from msgspec import Struct, field

from neurosono.engine.contracts.codec import decode, encode, encode_beside
from neurosono.engine.contracts.errors import WireError
from neurosono.engine.contracts.frame import DisplayFrame, Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result

MAGIC = b"NSNO"
VERSION = 2
HEADER = struct.Struct("<4sBBHIIq")
"""magic, version, kind, reserved, body bytes, pixel bytes, sent_ns (the monotonic clock)."""

KIND_AT = 5
"""Where in a message its kind stands."""

FRAME = 1
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""A larger message is refused before it is held in memory: an 8K BGR screen is 100 MB."""


class Event(Struct, frozen=True):
    """Something that is not a picture: `opened`, `ready`, `end`, `failed`, `engine-off`."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)


class Credit(Struct, frozen=True):
    """The receiver can take `count` more; another `epoch` is another receiver, counted anew."""

    count: int
    epoch: int


Message = Frame | DisplayFrame | Result | Event | Credit | ReaderResult

KINDS: dict[int, type[Message]] = {
    FRAME: Frame,
    2: DisplayFrame,
    3: Result,
    4: Event,
    5: Credit,
    6: ReaderResult,
}
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_PICTURES = (Frame, DisplayFrame)


NEEDED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "opened": {"rate_hz": (int, float), "told": list},
    "ready": {"backend": str, "precision": str, "members": int},
    "failed": {"role": str, "error": str, "message": str},
    "reader-ready": {"reader": str, "backend": str, "precision": str, "members": int},
    "recorded": {"next_seq": int},
    "engine-off": {"next_seq": int, "answered": list},
}
"""What an event that travels cannot be without, for whoever hears it relies on it."""


class Received(Struct, frozen=True):
    """A message, and when its sender let it go (monotonic clock, nanoseconds)."""

    message: Message
    sent_ns: int


def pack(message: Message) -> bytes:
    """Turn a message into bytes."""
    pixels: bytes | memoryview = b""
    if isinstance(message, _PICTURES):
        body, picture = encode_beside(message)
        pixels = b"" if picture is None else picture.data.cast("B")
    else:
        body = encode(message)
    number, sent_ns = _NUMBERS[type(message)], time.monotonic_ns()
    header = HEADER.pack(MAGIC, VERSION, number, 0, len(body), len(pixels), sent_ns)
    return b"".join((header, body, pixels))


def unpack(data: bytes | memoryview) -> Received:
    """Read a message; raises `WireError` on anything that `pack` of this version did not make."""
    view = memoryview(data)
    if not HEADER.size <= len(view) <= MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(view)} bytes is none of ours")
    magic, version, number, _, body_bytes, pixel_bytes, sent_ns = HEADER.unpack_from(view)
    if magic != MAGIC or version != VERSION:
        raise WireError(
            f"expected a message {MAGIC!r} of version {VERSION}, found {magic!r} {version}: "
            "run the same release of neurosono in every process"
        )
    pixels_at = HEADER.size + body_bytes
    if pixels_at + pixel_bytes != len(view):
        raise WireError(f"a message says it has other lengths than its {len(view)} bytes")
    kind = KINDS.get(number)
    if kind is None:
        raise WireError(f"a message of kind {number} is not readable: there is no such kind")
    beside = view[pixels_at:] if pixel_bytes else None
    message = decode(view[HEADER.size : pixels_at], kind, beside)
    if isinstance(message, Event):
        _check_event(message)
    return Received(message, sent_ns)


def _check_event(event: Event) -> None:
    for name, kind in NEEDED.get(event.name, {}).items():
        if not isinstance(event.fields.get(name), kind):
            raise WireError(f"an event {event.name!r} travels without a {name} that can be read")
