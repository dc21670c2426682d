"""A stream's bytes from a UDP or TCP socket of our own, each with the moment at which it came.

FFmpeg's own sockets would do for the bytes, but they keep up to 5 MB in a queue that cannot be seen
into (so nobody knows how old a picture is), and a wait in them ends only at a timeout.
"""

import contextlib
import hashlib
import ipaddress
import select
import socket
import struct
import threading
import time
from collections import deque

from neurosono.stream.sources.live.tail import Recalled, Tail

LARGEST_DATAGRAM_BYTES = 65536

SOCKET_BUFFER_BYTES = 4 << 20
"""What is asked of the system, which may give less: a key picture arrives as one burst."""

MOST_WAITING_BYTES = 32 << 20
"""More than this only waits if nobody reads: then all of it is dropped, and counted. At 20 Mbit/s
it would be 13 s."""

MOST_MARKS = 65536
"""Moments of arrival that are remembered until their bytes have become a picture: over ten times
as many as there are datagrams in a second of 50 Mbit/s."""

SENDER_GONE_S = 1.0
"""A machine that sent nothing for so long may be replaced by another."""

_LEAST_BYTES = 1024
"""What a datagram counts at least, so that a flood of empty ones, or of a stranger's, holds no
piece back."""

_POLL_MS = 200
"""How often the receiving thread looks whether it is to end."""


class Receiver:
    """Receives in a thread of its own; a file to FFmpeg, which reads in another.

    `waiting_bytes` have come and were not read. `timeout_s` is how long a read waits, and may be
    changed. `error` is why the stream ended, None if its sender ended it. `lost_bytes` counts what
    was dropped because nobody read it. Datagrams are taken of one sender at a time: two would mix
    into one picture, and one exam; `strangers` counts those of others.

    What comes is kept in `tail`, for whoever takes this process's place. What was `recalled` of the
    process before this one is read first.
    """

    def __init__(
        self,
        connected: socket.socket,
        *,
        timeout_s: float,
        tail: Tail | None = None,
        recalled: Recalled | None = None,
    ) -> None:
        self._socket, self._tail, self._recalled = connected, tail, recalled
        self.timeout_s = timeout_s
        self._changed = threading.Condition()
        self._chunks = deque([] if recalled is None else recalled.pieces)
        self.waiting_bytes = sum(len(chunk) for _, chunk in self._chunks)
        self._base = 0 if recalled is None else recalled.position
        self._caught_up_at = None if recalled is None else recalled.end
        self._is_caught_up = recalled is None
        self._marks: deque[tuple[int, int]] = deque(maxlen=MOST_MARKS)
        self._position = 0
        self.error: OSError | None = None
        self._has_ended = False
        self.lost_bytes = 0
        self.strangers = 0
        self._sender = 0 if recalled is None else recalled.sender
        self._heard_s = 0.0 if recalled is None else recalled.last_ns / 1e9
        self._address: object = None
        self._number = 0
        self._thread = threading.Thread(target=self._receive, name="live-receiver")
        self._thread.start()

    def read(self, size: int) -> bytes:
        """Return what has come, at most `size` bytes; nothing at the end or after a timeout.

        FFmpeg reads this, and would lose an exception: `error` says why there is no more.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._chunks or self._has_ended, self.timeout_s):
                # FFmpeg may ask again: what timed out stays ended, or each time would wait anew.
                self.error = TimeoutError(f"nothing came for {self.timeout_s:g} s")
                self._has_ended = True
            if not self._chunks:
                return b""
            arrived_ns, chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft((arrived_ns, chunk[size:]))
                chunk = chunk[:size]
            self.waiting_bytes -= len(chunk)
        self._marks.append((self._position, arrived_ns))
        self._position += len(chunk)
        return chunk

    def begin(self, timeout_s: float) -> None:
        """Count positions anew from what is read next: it is for another reader."""
        self.timeout_s = timeout_s
        self._marks.clear()
        self._base += self._position
        self._position = 0

    def is_known(self, position: int | None) -> bool | None:
        """Whether a process before this one had made a picture of what begins at `position`.

        None where it came later than this process did: what is between came while none read.
        """
        if self._recalled is None or position is None:
            return None
        at = self._base + position
        if self._is_caught_up and at >= (self._caught_up_at or 0):
            self._recalled = None
            return None
        return at <= self._recalled.shown

    def note_alone(self, position: int | None) -> None:
        """A picture that stands alone begins at `position`; only the reading thread says so."""
        if self._tail is not None and position is not None:
            self._tail.note_alone(self._base + position)

    def note_shown(self, position: int | None) -> None:
        """What begins at `position` becomes a picture; only the reading thread says so."""
        if self._tail is not None and position is not None:
            self._tail.note_shown(self._base + position)

    def arrived_ns(self, position: int | None) -> int:
        """Return when the byte at `position` of the stream came; positions must not fall.

        Without a position: when the newest byte that was read came. Only the reading thread asks.
        """
        if position is not None and position >= 0:
            while len(self._marks) > 1 and self._marks[1][0] <= position:
                self._marks.popleft()
            return self._marks[0][1]
        return self._marks[-1][1]

    def close(self) -> None:
        """End the stream for whoever reads, from any thread, and the receiving thread."""
        with self._changed:
            self._has_ended = True
            self._chunks.clear()
            self._changed.notify_all()
        if self._socket.type == socket.SOCK_STREAM:  # who listens may do so for others, too
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._socket.close()

    def let_go(self) -> None:
        """Close, and let go of the memory: only the reading thread may, once it reads no more."""
        self.close()
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _catch_up(self, recalled: Recalled) -> None:
        """Take in what came while no process read; nobody knows when, so it counts as old."""
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            while not self._has_ended:
                chunk, sender = self._socket.recvfrom(LARGEST_DATAGRAM_BYTES)
                if not chunk:  # the end of a connection is seen again, below
                    break
                if self._is_stranger(sender):
                    self.strangers += 1
                else:
                    self._keep(recalled.last_ns, chunk)
                    self._caught_up_at = (self._caught_up_at or 0) + len(chunk)
        self._is_caught_up = True

    def _receive(self) -> None:
        if self._recalled is not None:
            self._catch_up(self._recalled)
        self._socket.setblocking(False)
        news = select.poll()
        news.register(self._socket, select.POLLIN)
        while not self._has_ended:
            if news.poll(_POLL_MS):
                self._take_what_came()

    def _take_what_came(self) -> None:
        """Keep all that is there by now as one piece: nobody is woken for each datagram of it."""
        arrived_ns, pieces, bytes_left = time.monotonic_ns(), [], LARGEST_DATAGRAM_BYTES
        has_ended, error = False, None
        try:
            while bytes_left > 0 and not has_ended:
                piece, sender = self._socket.recvfrom(LARGEST_DATAGRAM_BYTES)
                bytes_left -= max(len(piece), _LEAST_BYTES)
                has_ended = not piece and self._socket.type == socket.SOCK_STREAM
                if self._is_stranger(sender):
                    self.strangers += 1
                else:
                    pieces.append(piece)
        except BlockingIOError:
            pass  # that was all
        except OSError as failure:
            has_ended, error = True, failure
        self._keep(arrived_ns, b"".join(pieces))
        if has_ended:
            self._finish(error)

    def _is_stranger(self, address: tuple[object, ...] | None) -> bool:
        """Whether a datagram is of another machine than those before it; TCP names none.

        By machine, not by port: an encoder that was started again sends from another port, and its
        first packets say that the stream begins anew.
        """
        now_s = time.monotonic()
        if address is not None and address[0] != self._address:
            self._address, self._number = address[0], _identify(address[0])
        sender = self._number
        if sender != self._sender and now_s - self._heard_s < SENDER_GONE_S:
            return self._sender != 0
        if sender != self._sender and self._tail is not None:
            self._tail.note_sender(sender)
        self._sender, self._heard_s = sender, now_s
        return False

    def _keep(self, arrived_ns: int, chunk: bytes) -> None:
        with self._changed:
            if self._has_ended or not chunk:
                return
            if self.waiting_bytes + len(chunk) > MOST_WAITING_BYTES:
                self.lost_bytes += self.waiting_bytes
                self._chunks.clear()
                self.waiting_bytes = 0
            self._chunks.append((arrived_ns, chunk))
            self.waiting_bytes += len(chunk)
            if self._tail is not None:
                self._tail.add(arrived_ns, chunk)
            self._changed.notify_all()

    def _finish(self, error: OSError | None) -> None:
        with self._changed:
            self.error, self._has_ended = error, True
            self._changed.notify_all()


def _identify(host: object) -> int:
    """Return a number for a machine, the same in every process; never 0."""
    return int.from_bytes(hashlib.sha256(str(host).encode()).digest()[:8], "little") | 1


def listen_udp(host: str, port: int) -> socket.socket:
    """Listen for what is sent to `host:port`, an address of ours or a multicast group.

    Raises `OSError`.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        with contextlib.suppress(OSError):  # less is what the system wants to give
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        if ipaddress.ip_address(address[0]).is_multicast:
            _join(listener, family, str(address[0]))
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def connect_tcp(host: str, port: int, *, timeout_s: float) -> socket.socket:
    """Connect to a sender that listens at `host:port`; raises `OSError`."""
    connected = socket.create_connection((host, port), timeout=timeout_s)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _join(listener: socket.socket, family: int, group: str) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        member = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", 0)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
    else:
        member = socket.inet_aton(group) + socket.inet_aton("0.0.0.0")  # noqa: S104
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
