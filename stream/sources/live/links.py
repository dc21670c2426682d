"""The ways to a live picture: what an argument names, and how FFmpeg is told to open it.

What each option does, from FFmpeg's documentation, and what it brought when measured here (H.264 in
MPEG-TS over UDP, 800 x 600 at 30 Hz, from the sender's picture to our decoded one):

- `probesize`, `analyzeduration`: how much is read before the first picture is given. At their
  defaults opening took 0.80 s, at ours 0.05 s.
- `fflags=noparse+nofillin`: packets are taken as the sender cut them. Without it FFmpeg waits for
  the start of the next picture to know the end of this one: 69 ms became 36 ms, and 37 ms became
  4 ms where the sender states the length of its pictures.
- `fflags=nobuffer` is left out: it throws away what was read for probing, the first key picture
  among it. The first picture came after 1.08 s instead of 0.08 s, and later lag was the same.
- `flags=low_delay`, one thread (of slices, never of frames): the decoder holds no picture back.
- `rtsp_transport=tcp`, `reorder_queue_size=0`, `max_delay=0`: RTP inside the RTSP connection comes
  in order, so there is nothing to hold back to sort.
- `timeout` (RTSP; microseconds), `rw_timeout` (HTTP, SRT): what FFmpeg's sockets wait at most.
- SRT's `latency` (microseconds) is held back by design, 120 ms unless told.
"""

import ipaddress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from neurosono.engine.contracts.errors import SourceError


class LinkKind(Enum):
    """The kinds of live source, by the name that is shown (which names nobody)."""

    DEVICE = "capture card"
    UDP = "UDP stream"
    TCP = "TCP stream"
    RTSP = "RTSP stream"
    SRT = "SRT stream"
    HTTP = "HTTP stream"
    IGTL = "OpenIGTLink stream"
    LOOP = "loop"


EXAMPLES = {
    LinkKind.DEVICE: ("/dev/video0", "a capture card on the scanner's video output"),
    LinkKind.UDP: ("udp://0.0.0.0:5000", "MPEG-TS that is sent to this address of ours"),
    LinkKind.TCP: ("tcp://127.0.0.1:5001", "MPEG-TS from a sender that listens there"),
    LinkKind.RTSP: ("rtsp://192.0.2.7/stream", "a network encoder (RTP inside the connection)"),
    LinkKind.SRT: ("srt://192.0.2.7:9000", "MPEG-TS over SRT, where FFmpeg was built with it"),
    LinkKind.HTTP: ("http://192.0.2.7/video", "MJPEG or MPEG-TS from a web server"),
    LinkKind.IGTL: (
        "igtl://192.0.2.7:18944?device=Image_Reference",
        "a research scanner through PLUS or 3D Slicer (OpenIGTLink)",
    ),
    LinkKind.LOOP: ("loop:clip.mp4", "a recording, over and over, as a stand-in scanner"),
}
"""An argument of each kind and what it is; addresses of others are RFC 5737's."""

_SCHEMES = {
    "udp": LinkKind.UDP,
    "tcp": LinkKind.TCP,
    "rtsp": LinkKind.RTSP,
    "rtsps": LinkKind.RTSP,
    "srt": LinkKind.SRT,
    "http": LinkKind.HTTP,
    "https": LinkKind.HTTP,
    "igtl": LinkKind.IGTL,
}
_WITH_PORT = {LinkKind.UDP, LinkKind.TCP, LinkKind.SRT, LinkKind.IGTL}

LOOP_PREFIX = "loop:"

_LONGEST_DEVICE = 20
"""Bytes that OpenIGTLink's header has for it."""

HTTP_DEMUXERS = "mpegts,mpjpeg,mjpeg,flv,matroska,nut,h264,hevc,asf"
"""No playlists: a server must not make us fetch from others, and they lag by whole segments."""

SRT_LATENCY_US = 40_000
"""Decision: several round trips in a house; the least that both ends agree to is what counts."""

QUICK_PROBE = {"probesize": "65536", "analyzeduration": "500000"}

FRAMED_CODECS = frozenset({"h264", "hevc"})
"""Codecs of which MPEG-TS carries one picture a packet, so nobody need look for its end."""


@dataclass(frozen=True)
class Link:
    """What a live argument names: a kind, and where; of OpenIGTLink also which `device`, or any."""

    kind: LinkKind
    argument: str
    host: str = ""
    port: int = 0
    device: str = ""


def parse_link(argument: str) -> Link:
    """Read a live argument; raises `SourceError` if it names no source that can be."""
    if argument.startswith(LOOP_PREFIX):
        return Link(LinkKind.LOOP, argument)
    if argument.startswith("/dev/"):
        return _parse_device(argument)
    scheme, colon, _ = argument.partition("://")
    kind = _SCHEMES.get(scheme.lower()) if colon else None
    if kind is None:
        known = ", ".join(example for example, _ in EXAMPLES.values())
        raise SourceError(f"{argument!r} is no live source; expected one like {known}")
    example = EXAMPLES[kind][0]
    try:
        parts = urlsplit(argument)
        host, port = (parts.hostname or "").removeprefix("@"), parts.port
    except ValueError as error:
        # Neither the address nor the error is repeated: either may hold a piece of a password.
        raise SourceError(
            f"the address of this {kind.value} is wrong; expected one like {example}, and in a "
            "name or password %23 for #, %2F for /, %3A for :, %3F for ?, %40 for @"
        ) from error
    if "@" in parts.fragment:  # what stands before # would be taken for the host
        raise SourceError(
            f"the address of this {kind.value} holds a # before its @; write # as %23 in a name "
            "or password"
        )
    if not host or (kind in _WITH_PORT and not port):
        raise SourceError(
            f"the address of this {kind.value} lacks its host or port; expected one like {example}"
        )
    if kind in (LinkKind.UDP, LinkKind.TCP) and (parts.query or parts.path.strip("/")):
        raise SourceError(
            f"the address of a {kind.value} is a host and a port alone; expected one like {example}"
        )
    if kind is LinkKind.UDP:
        _check_address(host)
    device = _parse_query(parts.query, parts.path) if kind is LinkKind.IGTL else ""
    return Link(kind, argument, host, port or 0, device)


def check_srt() -> None:
    """Raise `SourceError` where the FFmpeg at hand was built without SRT."""
    import av  # whoever only reads an address decodes nothing

    try:
        av.open("srt://127.0.0.1:1", options={"connect_timeout": "1"}, timeout=0.1).close()
    except av.error.ProtocolNotFoundError as error:
        raise SourceError(
            "the FFmpeg inside PyAV was built without SRT: let the encoder send MPEG-TS over UDP, "
            "or install a PyAV that has it"
        ) from error
    except (av.error.FFmpegError, OSError):
        return  # nobody is there, but it would have been spoken to


def _parse_device(argument: str) -> Link:
    path = Path(argument)
    if not path.exists():
        raise SourceError(
            f"there is no {argument!r}; run `neurosono sources` to see which capture "
            "cards are plugged in"
        )
    if not path.is_char_device():
        raise SourceError(f"{argument!r} is no capture card; expected one like /dev/video0")
    return Link(LinkKind.DEVICE, argument)


def _parse_query(query: str, path: str) -> str:
    """Return the device that an OpenIGTLink address names, or nothing."""
    said = parse_qs(query, keep_blank_values=True)
    if path.strip("/") or set(said) - {"device"} or len(said.get("device", [])) > 1:
        raise SourceError(
            "the address of an OpenIGTLink stream is a host, a port and at most ?device=NAME; "
            f"expected one like {EXAMPLES[LinkKind.IGTL][0]}"
        )
    device = said.get("device", [""])[0]
    if len(device.encode()) > _LONGEST_DEVICE or not device.isascii():
        raise SourceError(
            f"an OpenIGTLink device has a name of at most {_LONGEST_DEVICE} ASCII letters"
        )
    return device


def _check_address(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        if host != "localhost":
            raise SourceError(
                f"UDP is received at an address of this machine, not at {host!r}; "
                "expected a number like 0.0.0.0 (all of them)"
            ) from error


def input_options(
    link: Link, *, open_timeout_s: float, read_timeout_s: float, parse: bool
) -> dict[str, str]:
    """Return FFmpeg's options for a link: no delay that can be avoided, and no endless wait."""
    open_us, read_us = str(int(open_timeout_s * 1e6)), str(int(read_timeout_s * 1e6))
    if link.kind in (LinkKind.UDP, LinkKind.TCP):
        # A clock that falls back is ours to see: FFmpeg would take it for one that ran over.
        options = {**QUICK_PROBE, "correct_ts_overflow": "0"}
        return options if parse else {**options, "fflags": "noparse+nofillin"}
    if link.kind is LinkKind.RTSP:
        return {
            **QUICK_PROBE,
            "rtsp_transport": "tcp",
            "reorder_queue_size": "0",
            "max_delay": "0",
            "timeout": open_us,
            "allowed_media_types": "video",
        }
    if link.kind is LinkKind.SRT:
        return {
            **QUICK_PROBE,
            "connect_timeout": str(int(open_timeout_s * 1e3)),
            "rw_timeout": read_us,
            "latency": str(SRT_LATENCY_US),
        }
    return {
        **QUICK_PROBE,
        "rw_timeout": read_us,
        "format_whitelist": HTTP_DEMUXERS,
        "protocol_whitelist": "http,https,tls,tcp",
    }
