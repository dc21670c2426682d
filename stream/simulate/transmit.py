"""Where a simulated scanner's stream goes: datagrams to an address, or whoever connects by TCP."""

import contextlib
import socket
from typing import Any, Protocol

from neurosono.engine.contracts.errors import InputError, OutputError

DATAGRAM_BYTES = 1316
"""Seven MPEG-TS packets of 188 bytes: the most that fits an Ethernet frame, and what all use."""

CONNECTION_TIMEOUT_S = 1.0
"""A receiver that takes nothing for so long is let go: a scanner does not wait for anyone."""


class Transmitter(Protocol):
    """Takes a stream in pieces."""

    def write(self, data: bytes) -> int:
        """Send a piece; returns its length."""

    def has_newcomer(self) -> bool:
        """Return whether somebody joined since this was last asked."""

    def close(self) -> None:
        """Let go of the sockets."""


class UdpTransmitter:
    """Sends each piece as a datagram; every `drop_every`-th is left out (0: none)."""

    def __init__(self, host: str, port: int, *, drop_every: int = 0) -> None:
        family, kind, protocol, _, self._address = _resolve(host, port, socket.SOCK_DGRAM)
        self._socket = socket.socket(family, kind, protocol)
        self._drop_every = drop_every
        self.sent = self.dropped = 0

    def write(self, data: bytes) -> int:
        """Send a datagram; raises `OutputError` if the system refuses it."""
        self.sent += 1
        if self._drop_every and self.sent % self._drop_every == 0:
            self.dropped += 1
            return len(data)
        try:
            self._socket.sendto(data, self._address)
        except ConnectionRefusedError:
            pass  # nobody listens yet: a scanner plays to an empty room too
        except OSError as error:
            raise OutputError(
                f"cannot send to this address: {error.strerror}; choose another --udp"
            ) from error
        return len(data)

    def has_newcomer(self) -> bool:
        """Nobody knows who listens: key pictures come by themselves."""
        return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class TcpTransmitter:
    """Listens, and sends to the one who is connected; the next may come when that one has gone."""

    def __init__(self, host: str, port: int) -> None:
        family, kind, protocol, _, address = _resolve(host, port, socket.SOCK_STREAM)
        self._listener = socket.socket(family, kind, protocol)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(address)
            self._listener.listen(1)
        except OSError as error:
            self._listener.close()
            raise OutputError(
                f"cannot listen at {host}:{port}: {error.strerror}; choose another --tcp"
            ) from error
        self._listener.setblocking(False)
        self._connected: socket.socket | None = None
        self.sent = self.dropped = self.connections = 0

    @property
    def port(self) -> int:
        """The port that is listened at; the system's choice if 0 was asked."""
        return int(self._listener.getsockname()[1])

    def has_newcomer(self) -> bool:
        """Return whether somebody connected since this was last asked."""
        if self._connected is None:
            with contextlib.suppress(BlockingIOError):
                self._connected, _ = self._listener.accept()
                self._connected.settimeout(CONNECTION_TIMEOUT_S)
                self._connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                return True
        return False

    def write(self, data: bytes) -> int:
        """Send to who is connected; what nobody takes is counted as dropped."""
        self.sent += 1
        if self._connected is None:
            self.dropped += 1
            return len(data)
        try:
            self._connected.sendall(data)
        except OSError:
            self._connected.close()
            self._connected = None
        return len(data)

    def close(self) -> None:
        """Close the sockets."""
        if self._connected is not None:
            self._connected.close()
        self._listener.close()


def parse_address(text: str, option: str) -> tuple[str, int]:
    """Read `HOST:PORT`; raises `InputError`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(f"{option} cannot be {text!r}; expected HOST:PORT, as in 127.0.0.1:5000")
    return host.strip("[]"), int(port)


def _resolve(
    host: str, port: int, kind: socket.SocketKind
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]:
    try:
        return socket.getaddrinfo(host, port, type=kind)[0]
    except OSError as error:
        raise InputError(
            f"there is no host {host!r}: {error.strerror}; expected one like 127.0.0.1"
        ) from error
