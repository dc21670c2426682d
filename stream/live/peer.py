"""Whose program is at the other end of a connection on this machine."""

import os
import socket
import struct
from pathlib import Path

_TABLE = Path("/proc/net/tcp")
_LOCAL, _REMOTE, _OWNER = 1, 2, 7
"""Columns of the table (proc(5))."""


def find_owner(connected: socket.socket) -> int | None:
    """Return the user id of who opened an IPv4 connection from this machine; None if unknown."""
    theirs, ours = (_name(*end()) for end in (connected.getpeername, connected.getsockname))
    for line in _TABLE.read_text(encoding="ascii").splitlines()[1:]:
        cells = line.split()
        if (cells[_LOCAL], cells[_REMOTE]) == (theirs, ours):
            return int(cells[_OWNER])
    return None


def is_ours(connected: socket.socket) -> bool:
    """Whether a connection is of a program of this process's user, or of root, who may do all."""
    try:
        return find_owner(connected) in (os.geteuid(), 0)
    except OSError:  # it was hung up meanwhile
        return False


def _name(host: str, port: int) -> str:
    """Return an address as the table has it: the host in this processor's order of bytes."""
    (number,) = struct.unpack("=I", socket.inet_aton(host))
    return f"{number:08X}:{port:04X}"
