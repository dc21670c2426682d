"""What the other side said, in words that help whoever stands beside the scanner."""

import errno
import socket

import av

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.files.frame_decoding import explain
from neurosono.stream.sources.live.links import Link, LinkKind

_NO_VIDEO = (av.error.InvalidDataError, av.error.ArgumentError, SourceError)


def tell_reason(error: Exception, link: Link) -> str:
    """Return why a connection gave no picture; never the address, which may hold a password."""
    said = explain(error)
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return f"port {link.port} of this machine is taken by another program, so end that first"
    if link.kind is LinkKind.RTSP and code == errno.EPROTONOSUPPORT:
        # FFmpeg's word for the sender's answer; by UDP pictures would come damaged and late.
        return "the sender refuses RTP inside the RTSP connection (461 Unsupported Transport)"
    if isinstance(error, _NO_VIDEO) and link.kind is not LinkKind.DEVICE:
        return f"what it sends is no video that can be followed ({said})"
    if isinstance(error, socket.gaierror) or (code == errno.EIO and not _is_known(link.host)):
        return "no machine of that name is known"
    return said


def _is_known(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
