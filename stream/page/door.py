"""The listening socket: how many may stand at the door, for how long, and what is kept in reserve.

A connection is nobody until it has become a viewer's socket. Those that never do (a silent one, a
handshake half done, a header a letter a minute) cost a place that the next one needs, and
descriptors that the session needs to start its children: so there are few places, and the one who
has waited longest gives way.
"""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any

MAX_WAITING = 48
"""Connections that are no viewer's yet. A browser opens six at a time to one server."""

MAX_WAITING_NS = 20_000_000_000
"""A page with its twenty files is there in under a second; on a bad link, in some."""

MAX_LEAVING = 8
"""Connections that were hung up on and still hold a descriptor: asyncio first closes these."""

_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Door(socket.socket):
    """A listening TCP socket that asyncio accepts from. `clock_ns` is the monotonic clock."""

    def __init__(
        self, family: int, kind: int, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(family, kind)
        self._clock_ns = clock_ns
        self._waiting: dict[tuple[Any, ...], tuple[socket.socket, int]] = {}
        self._leaving: list[socket.socket] = []
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.turned_away = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; where there are too many, the oldest is hung up on.

        Without a descriptor for it the connection is refused. asyncio takes what is raised then as
        "nothing there", where any other error would be a traceback for each.
        """
        self._forget_closed()
        if len(self._leaving) >= MAX_LEAVING:
            raise BlockingIOError("asyncio is to close some connections first")
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                self._refuse()
                raise ConnectionAbortedError from error
            raise
        while len(self._waiting) >= MAX_WAITING:
            self._hang_up(next(iter(self._waiting)))
        self._waiting[_name(address)] = connection, self._clock_ns()
        return connection, address

    def admit(self, address: Any) -> None:
        """The connection from `address` is a viewer's now, and stays as long as it likes."""
        self._waiting.pop(_name(address), None)

    def sweep(self) -> None:
        """Hang up on whoever has stood at the door for too long."""
        self._forget_closed()
        now_ns = self._clock_ns()
        for name, (_, since_ns) in list(self._waiting.items()):
            if now_ns - since_ns > MAX_WAITING_NS:
                self._hang_up(name)

    def waiting(self) -> int:
        """Return how many connections are no viewer's yet."""
        self._forget_closed()
        return len(self._waiting)

    def close(self) -> None:
        """Stop listening."""
        super().close()
        self._waiting.clear()
        self._leaving.clear()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _forget_closed(self) -> None:
        self._waiting = {k: v for k, v in self._waiting.items() if v[0].fileno() >= 0}
        self._leaving = [each for each in self._leaving if each.fileno() >= 0]

    def _hang_up(self, name: tuple[Any, ...]) -> None:
        """End a connection without taking it out of asyncio's hands, which closes it then."""
        connection, _ = self._waiting.pop(name)
        self._leaving.append(connection)
        self.turned_away += 1
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self) -> None:
        """Take a connection with the spare descriptor, only to hang up on it."""
        self.turned_away += 1
        if self._spare < 0:
            return
        os.close(self._spare)
        self._spare = -1
        with contextlib.suppress(OSError):
            super().accept()[0].close()
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _name(address: Any) -> tuple[Any, ...]:
    return tuple(address[:2])
