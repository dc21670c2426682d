"""Capture cards, asked through Video4Linux2: which there are, and which modes they offer."""

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.live.device_modes import FOURCC_NAMES, Mode

Ioctl = Callable[[int, int, bytearray], int]
"""`fcntl.ioctl`, or something that answers from a recording."""

CAPABILITY, FORMAT = "=16s32s32sIII3I", "=III32sII3I"
SIZE, INTERVAL = "=III6I2I", "=IIIII6I2I"
"""struct v4l2_capability, v4l2_fmtdesc, v4l2_frmsizeenum and v4l2_frmivalenum of the kernel's
videodev2.h; the unions of the last two are six words long."""

_READ, _READ_WRITE = 2, 3


def _request(direction: int, number: int, layout: str) -> int:
    # _IOC of the kernel's asm-generic/ioctl.h: direction, size, type and number in 32 bits.
    return direction << 30 | struct.calcsize(layout) << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, CAPABILITY)
ENUM_FMT = _request(_READ_WRITE, 2, FORMAT)
ENUM_FRAMESIZES = _request(_READ_WRITE, 74, SIZE)
ENUM_FRAMEINTERVALS = _request(_READ_WRITE, 75, INTERVAL)

_CAN_CAPTURE, _HAS_DEVICE_CAPABILITIES = 0x1, 0x80000000
_CAPTURE_BUFFER = 1
_DISCRETE = 1

MOST_ENTRIES = 256
"""A driver that counts on beyond this is broken."""

COMMON_SIZES = (
    (1920, 1080),
    (1280, 1024),
    (1280, 720),
    (1024, 768),
    (800, 600),
    (720, 576),
    (720, 480),
    (640, 480),
)
"""What is offered of a card that takes any size: the screens of scanners."""


@dataclass(frozen=True)
class Card:
    """A capture card and its modes."""

    path: str
    name: str
    modes: tuple[Mode, ...]


def list_cards(folder: Path = Path("/dev")) -> list[Card]:
    """Return every capture card of this machine; those that cannot be asked are left out."""
    cards = []
    for path in sorted(folder.glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            card = read_card(str(path))
        except SourceError:  # the outputs, encoders and metadata of cards are video devices too
            continue
        cards.append(card)
    return cards


def read_card(path: str) -> Card:
    """Ask a card for its modes; raises `SourceError` if it cannot be asked or cannot capture."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(
            f"cannot open {path}: {error.strerror}; check that you may use it (group video) and "
            "that no other program does"
        ) from error
    try:
        return query_card(path, descriptor, fcntl.ioctl)
    except OSError as error:
        raise SourceError(
            f"{path} is no capture card: {error.strerror}; run `neurosono sources` to see which are"
        ) from error
    finally:
        os.close(descriptor)


def query_card(path: str, descriptor: int, ioctl: Ioctl) -> Card:
    """Ask an open device; raises `OSError` if it cannot answer or cannot capture."""
    answer = bytearray(struct.calcsize(CAPABILITY))
    ioctl(descriptor, QUERYCAP, answer)
    _, name, _, _, capabilities, of_device, *_ = struct.unpack(CAPABILITY, answer)
    if capabilities & _HAS_DEVICE_CAPABILITIES:
        capabilities = of_device
    if not capabilities & _CAN_CAPTURE:
        raise OSError(errno.ENOTTY, "it does not capture")
    modes: list[Mode] = []
    for fourcc in _formats(descriptor, ioctl):
        format_name = FOURCC_NAMES.get(struct.pack("=I", fourcc).decode("latin-1"))
        if format_name is None:
            continue
        for width_px, height_px in _sizes(descriptor, ioctl, fourcc) or [(0, 0)]:
            modes.extend(
                Mode(format_name, width_px, height_px, rate_hz)
                for rate_hz in _rates(descriptor, ioctl, fourcc, width_px, height_px) or [0.0]
            )
    return Card(path, name.split(b"\0")[0].decode("utf-8", "replace"), tuple(dict.fromkeys(modes)))


def _enumerate(
    descriptor: int, ioctl: Ioctl, request: int, layout: str, *given: int
) -> Iterator[tuple[int, ...]]:
    """Yield the answers for index 0, 1, ... until the driver says that there are no more."""
    words = struct.calcsize(layout)
    for index in range(MOST_ENTRIES):
        asked = bytearray(struct.pack(f"={1 + len(given)}I", index, *given).ljust(words, b"\0"))
        try:
            ioctl(descriptor, request, asked)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield struct.unpack(layout, asked)


def _formats(descriptor: int, ioctl: Ioctl) -> list[int]:
    found = _enumerate(descriptor, ioctl, ENUM_FMT, FORMAT, _CAPTURE_BUFFER)
    return [int(answer[4]) for answer in found]


def _sizes(descriptor: int, ioctl: Ioctl, fourcc: int) -> list[tuple[int, int]]:
    sizes = []
    for _, _, kind, *union in _enumerate(descriptor, ioctl, ENUM_FRAMESIZES, SIZE, fourcc):
        if kind == _DISCRETE:
            sizes.append((union[0], union[1]))
            continue
        low_w, high_w, step_w, low_h, high_h, step_h = union[:6]
        return [
            (w, h)
            for w, h in COMMON_SIZES
            if low_w <= w <= high_w
            and (w - low_w) % max(1, step_w) == 0
            and low_h <= h <= high_h
            and (h - low_h) % max(1, step_h) == 0
        ]
    return sizes


def _rates(
    descriptor: int, ioctl: Ioctl, fourcc: int, width_px: int, height_px: int
) -> list[float]:
    rates = []
    given = (fourcc, width_px, height_px)
    found = _enumerate(descriptor, ioctl, ENUM_FRAMEINTERVALS, INTERVAL, *given)
    for _, _, _, _, kind, numerator, denominator, *_ in found:
        # Of a range, the first fraction is its shortest interval: the highest rate.
        if numerator and denominator:
            rates.append(denominator / numerator)
        if kind != _DISCRETE:
            break
    return rates
