"""A stream's socket and its last bytes, as they pass from one capture process to the next.

What comes while no process reads waits in the socket, and what the dead one had read since the last
picture that stands alone is in its `Tail`: the next one goes on where it stopped. Across a loss of
the connection inside one process only a socket that listens for datagrams is kept.
"""

import contextlib
import os
import socket
import time

from neurosono.stream.processes.legacy import Legacy, close_all
from neurosono.stream.sources.live.links import Link, LinkKind
from neurosono.stream.sources.live.receiver import Receiver, connect_tcp, listen_udp
from neurosono.stream.sources.live.tail import Recalled, Tail

FRESH_S = 2.0
"""What a process received longer ago than this is not gone on with. Pictures that waited in the
socket since count as that old; and it does not hold many more (0.2 s of 8 Mbit/s as Linux is)."""


class Handover:
    """Opens the receivers of one link, one after the other; threads of one `Keeper` ask."""

    def __init__(self, link: Link, legacy: Legacy | None) -> None:
        """Without a `legacy` nobody comes after this process, and nothing is kept."""
        self._link, self._legacy = link, legacy
        self._listening: socket.socket | None = None
        self._left = () if legacy is None else legacy.take() or ()

    def open(self, timeout_s: float) -> Receiver:
        """Go on where the process before this one stopped, or connect. Raises `OSError`."""
        left, self._left = self._left, ()
        if left and (receiver := self._go_on(left, timeout_s)) is not None:
            return receiver
        kept = None if self._legacy is None else Tail()
        try:
            connected = self._connect(timeout_s)
        except BaseException:
            if kept is not None:
                kept.close()
            raise
        if self._legacy is not None and kept is not None:
            self._legacy.leave([connected.fileno(), kept.descriptor])
        return Receiver(connected, timeout_s=timeout_s, tail=kept)

    def close(self) -> None:
        """Listen no more."""
        close_all(self._left)
        self._left = ()
        if self._listening is not None:
            self._listening.close()

    def _connect(self, timeout_s: float) -> socket.socket:
        if self._link.kind is LinkKind.TCP:
            return connect_tcp(self._link.host, self._link.port, timeout_s=timeout_s)
        if self._listening is None:
            self._listening = listen_udp(self._link.host, self._link.port)
        else:
            _drain(self._listening)
        # one of our own, to be closed with its receiver
        return self._listening.dup() if self._legacy is not None else self._give_up_listening()

    def _give_up_listening(self) -> socket.socket:
        assert self._listening is not None
        listening, self._listening = self._listening, None
        return listening

    def _go_on(self, left: tuple[int, ...], timeout_s: float) -> Receiver | None:
        try:
            connected = socket.socket(fileno=os.dup(left[0]))
            kept = Tail(os.dup(left[1]))
        except (OSError, ValueError, IndexError):
            return None
        finally:
            close_all(left)
        if self._link.kind is LinkKind.UDP:
            self._listening = connected.dup()
        recalled = kept.recall()
        if recalled is not None and _is_fresh(recalled):
            return Receiver(connected, timeout_s=timeout_s, tail=kept, recalled=recalled)
        kept.close()
        if self._link.kind is LinkKind.TCP:  # for the parent holds it, too
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        connected.close()
        return None


def _is_fresh(recalled: Recalled) -> bool:
    return 0 <= time.monotonic_ns() - recalled.last_ns < FRESH_S * 1e9


def _drain(listening: socket.socket) -> None:
    """Pass over what came while nobody read: nobody knows when."""
    with contextlib.suppress(OSError):
        while True:
            listening.recv(1, socket.MSG_DONTWAIT)
