"""What a child process leaves to the one that takes its place: open files, passed on by the parent.

The parent keeps them, whatever becomes of the child, and never looks into them.
"""

import array
import contextlib
import os
import socket
from collections.abc import Sequence

MOST_LEFT = 4
"""Descriptors that one process may leave."""

_WORD = b"."
_QUIETLY = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Legacy:
    """One end of the way on which descriptors pass between a child and its parent."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way

    @classmethod
    def at(cls, descriptor: int) -> "Legacy":
        """Return a child's end, which it was started with."""
        return cls(socket.socket(fileno=descriptor))

    @classmethod
    def pair(cls) -> tuple["Legacy", socket.socket]:
        """Return the parent's end, and the socket to start a child with. Raises `OSError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def leave(self, descriptors: Sequence[int]) -> None:
        """Hand descriptors to the other end, in place of all that went before; ours stay open."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with contextlib.suppress(OSError):  # nobody is there: then nobody inherits
            self._way.sendmsg([_WORD], rights if descriptors else [], _QUIETLY)

    def take(self) -> tuple[int, ...] | None:
        """Return what the other end left last, which is ours then; None where it said nothing."""
        newest: tuple[int, ...] | None = None
        while (came := self._receive()) is not None:
            close_all(newest or ())
            newest = came
        return newest

    def close(self) -> None:
        """Close this end."""
        self._way.close()

    def _receive(self) -> tuple[int, ...] | None:
        descriptors = array.array("i")
        space = socket.CMSG_LEN(MOST_LEFT * descriptors.itemsize)
        flags = _QUIETLY | socket.MSG_CMSG_CLOEXEC  # `socket.recv_fds` heeds no flags
        try:
            said, rights, _, _ = self._way.recvmsg(len(_WORD), space, flags)
        except OSError:  # nothing came, or nobody is there any more
            return None
        for _, _, data in rights:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return tuple(descriptors) if said else None


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors of ours."""
    for descriptor in descriptors:
        os.close(descriptor)
