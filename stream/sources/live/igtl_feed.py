"""One connection to an OpenIGTLink server, such as PLUS or 3D Slicer, over a socket of our own."""

import time
from collections.abc import Generator

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.clip import FALLBACK_RATE_HZ
from neurosono.stream.sources.live.backlog import Backlog, Handling
from neurosono.stream.sources.live.feed import FeedInfo, FeedOptions, Shot, Tally
from neurosono.stream.sources.live.igtl_message import HEADER, Header, read_header, read_image
from neurosono.stream.sources.live.links import Link
from neurosono.stream.sources.live.receiver import Receiver, connect_tcp

CODEC = "OpenIGTLink"
_MOST_NAMED = 4
"""Devices that are named where the one that was asked for is not among them."""


class IgtlFeed:
    """Follows one device's IMAGE messages (a `Feed`); without a name, the first that sends any.

    The rate is not stated anywhere. Only pictures count as a sign of life: a tracker that goes on
    while the scanner stands still does not hide that.
    """

    def __init__(self, link: Link, options: FeedOptions, tally: Tally) -> None:
        self._link, self._options, self._tally = link, options, tally
        self._receiver: Receiver | None = None
        self._interrupted = False
        self._device = link.device
        self._first: Shot | None = None
        self._others: set[str] = set()
        self._position = 0
        self._backlog = Backlog()
        self.progress_ns = time.monotonic_ns()

    def open(self) -> FeedInfo:
        """Connect and wait for the first picture."""
        link, timeout_s = self._link, self._options.open_timeout_s
        connected = connect_tcp(link.host, link.port, timeout_s=timeout_s)
        self._receiver = Receiver(connected, timeout_s=timeout_s)
        if self._interrupted:
            self._receiver.close()
        self._first = self._next(timeout_s)
        if self._first is None:
            raise SourceError("the sender ended the stream before it sent a picture")
        self._receiver.timeout_s = self._options.read_timeout_s
        height, width = self._first.decoded.shape[:2]
        return FeedInfo(CODEC, width, height, FALLBACK_RATE_HZ)

    def shots(self) -> Generator[Shot]:
        """Yield each picture as it comes, to the sender's end; what is too old is counted."""
        shot, self._first = self._first, None
        while shot is not None and not self._interrupted:
            if self._judge(shot) is Handling.SHOW:
                yield shot
            shot = self._next(self._options.read_timeout_s)

    def interrupt(self) -> None:
        """End at once."""
        self._interrupted = True
        if self._receiver is not None:
            self._receiver.close()

    def close(self) -> None:
        """Close the socket."""
        if self._receiver is not None:
            self._receiver.close()

    def _judge(self, shot: Shot) -> Handling:
        assert self._receiver is not None
        age_ms = (time.monotonic_ns() - shot.received_ns) / 1e6
        is_followed = self._receiver.waiting_bytes > 0
        verdict = self._backlog.judge(age_ms, is_followed=is_followed, stands_alone=lambda: True)
        if verdict is not Handling.SHOW:
            self._tally.late += 1
        return verdict

    def _next(self, patience_s: float) -> Shot | None:
        """Return the device's next picture; None where the sender ended."""
        while (head := self._read(HEADER.size, may_end=True)) is not None:
            header = read_header(head)
            body = self._read(header.body_bytes) or b""
            if self._is_ours(header):
                return self._make_shot(header, body)
            if time.monotonic_ns() - self.progress_ns > patience_s * 1e9:
                self.progress_ns = time.monotonic_ns()  # it is not silent: it says other things
                raise SourceError(self._tell_others())
        return None

    def _make_shot(self, header: Header, body: bytes) -> Shot:
        assert self._receiver is not None
        self.progress_ns = begun_ns = time.monotonic_ns()
        received_ns = self._receiver.arrived_ns(self._position - 1)
        image = read_image(header, body)
        return Shot(
            image.pixels,
            header.stamp_s,
            received_ns,
            (time.monotonic_ns() - begun_ns) / 1e6,
            damaged=False,
            stands_alone=True,
            scale=image.scale,
        )

    def _is_ours(self, header: Header) -> bool:
        if header.kind == "IMAGE" and self._device in ("", header.device):
            self._device = header.device
            return True
        self._others.add(f"{header.kind} {header.device}".strip())
        return False

    def _tell_others(self) -> str:
        wanted = f"IMAGE {self._device}".strip()
        others = ", ".join(sorted(self._others)[:_MOST_NAMED])
        more = len(self._others) - _MOST_NAMED
        return f"no {wanted} comes, only {others}" + (f" and {more} more" if more > 0 else "")

    def _read(self, size: int, *, may_end: bool = False) -> bytes | None:
        """Return exactly `size` bytes; None at the sender's end, where one may be."""
        receiver = self._receiver
        assert receiver is not None
        pieces, left = [], size
        while left:
            piece = receiver.read(left)
            if receiver.lost_bytes:
                self._tally.lost_bytes += receiver.lost_bytes
                raise SourceError("more came than could be read, and messages were cut")
            if not piece:
                if receiver.error is not None:
                    raise receiver.error
                if (may_end and left == size) or self._interrupted:
                    return None
                raise SourceError("the sender ended the stream in the middle of a message")
            pieces.append(piece)
            left -= len(piece)
        self._position += size
        return b"".join(pieces)
