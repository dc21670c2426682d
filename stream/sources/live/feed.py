"""One connection to a live source: opened, read and decoded, each picture with its arrival."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import SourceError
from neurosono.engine.contracts.frame import Scaled
from neurosono.stream.pictures.picture import UNSCALED, Chroma
from neurosono.stream.sources.clip import FALLBACK_RATE_HZ
from neurosono.stream.sources.files.upright import FrameConverter
from neurosono.stream.sources.files.video import FASTEST_HZ, SLOWEST_HZ, bound_pixels, find_video
from neurosono.stream.sources.limits import DEFAULT
from neurosono.stream.sources.live.backlog import Backlog, Handling, MediaAge, device_age_ms
from neurosono.stream.sources.live.device_modes import ModeWish, choose_mode
from neurosono.stream.sources.live.devices import read_card
from neurosono.stream.sources.live.handover import Handover
from neurosono.stream.sources.live.links import FRAMED_CODECS, Link, LinkKind, input_options

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

    from neurosono.stream.sources.live.receiver import Receiver

MOST_UNDECODED = 64
"""Packets whose pictures a decoder may still hold; their arrivals are remembered."""

_MPEG_NAMES = {"h264": (0x1F, 0, {5, 7}), "hevc": (0x3F, 1, {16, 17, 18, 19, 20, 21, 32, 33})}
"""Mask, shift and values of the type of a NAL unit that begins a picture that stands alone: ITU-T
H.264 table 7-1 (IDR slice, parameter set) and H.265 table 7-1 (IRAP pictures, parameter sets)."""

_NAL_SEARCH_BYTES = 4096


@dataclass(frozen=True)
class Shot:
    """One `Picture` as it came: `raw_s` is its sender's time, `received_ns` ours."""

    decoded: NDArray[np.uint8]
    raw_s: float | None
    received_ns: int
    decode_ms: float
    damaged: bool
    stands_alone: bool
    chroma: Chroma | None = None
    scale: Scaled = UNSCALED


@dataclass(frozen=True)
class FeedInfo:
    """What opening a source told."""

    codec: str
    width_px: int
    height_px: int
    rate_hz: float


@dataclass
class Tally:
    """What did not become a picture in the slot: `late` was too old, `broken` gave no picture."""

    late: int = 0
    broken: int = 0
    lost_bytes: int = 0
    strangers: int = 0
    """Datagrams of another sender than the one that is followed."""


@dataclass(frozen=True)
class FeedOptions:
    """How long to wait, and what is wished of a capture card."""

    open_timeout_s: float
    read_timeout_s: float
    wish: ModeWish = field(default_factory=ModeWish)


class Feed(Protocol):
    """One connection. `open` and `shots` run in one thread, `interrupt` in any."""

    progress_ns: int

    def open(self) -> FeedInfo:
        """Connect; raises `OSError`, `av.FFmpegError` or `SourceError`."""

    def shots(self) -> Generator[Shot]:
        """Yield what comes until the sender ends it; raises as `open` does."""

    def interrupt(self) -> None:
        """Make `open` and `shots` end soon."""

    def close(self) -> None:
        """Let go of everything."""


class StreamFeed:
    """A connection through FFmpeg; one by a socket of ours is opened by the `handover`."""

    def __init__(
        self, link: Link, options: FeedOptions, tally: Tally, handover: Handover | None = None
    ) -> None:
        self._link, self._options, self._tally = link, options, tally
        self._handover = handover or Handover(link, None)
        self._receiver: Receiver | None = None
        self._container: InputContainer | None = None
        self._video: VideoStream | None = None
        self._backlog = Backlog()
        self._interrupted = False
        self._is_damaged = self._is_framed = self._has_begun = False
        self._lost_bytes = self._strangers = 0
        self.progress_ns = time.monotonic_ns()

    def open(self) -> FeedInfo:
        """Connect and find the video."""
        if self._link.kind in (LinkKind.UDP, LinkKind.TCP):
            self._receiver = self._handover.open(self._options.open_timeout_s)
            if self._interrupted:
                self._receiver.close()
        try:
            return self._find_out()
        except (OSError, ValueError, SourceError):
            self._raise_own_error()
            raise

    def _find_out(self) -> FeedInfo:
        self._container = self._open_container(parse=self._link.kind is LinkKind.HTTP)
        self._video = video = find_video(self._container)
        self._is_framed = video.codec_context.name in FRAMED_CODECS
        if self._receiver is not None and not self._is_framed:
            self._container.close()
            self._receiver.begin(self._options.open_timeout_s)
            self._container = self._open_container(parse=True)
            self._video = video = find_video(self._container)
        if self._receiver is not None:
            self._receiver.timeout_s = self._options.read_timeout_s
        context = video.codec_context
        video.thread_type = "SLICE"
        context.thread_count = 1
        context.flags |= Flags.low_delay
        rate_hz = next(
            (
                float(rate)
                for rate in (context.framerate, video.average_rate, video.guessed_rate)
                if rate and SLOWEST_HZ <= rate <= FASTEST_HZ
            ),
            FALLBACK_RATE_HZ,
        )
        self._ages = MediaAge(1 / rate_hz)
        return FeedInfo(context.name, context.width, context.height, rate_hz)

    def shots(self) -> Generator[Shot]:
        """Decode until the sender ends; damaged data are told, never hidden."""
        assert self._container is not None
        assert self._video is not None
        converter = FrameConverter()
        arrivals: dict[int | None, int] = {}
        packets = self._container.demux(self._video)
        while True:
            asked_ns = time.monotonic_ns()
            packet = next(packets, None)
            if packet is None or packet.size == 0 or self._interrupted:
                self._raise_own_error()
                return
            self.progress_ns = now_ns = time.monotonic_ns()
            received_ns = now_ns - int(self._measure_age_ms(packet, asked_ns, now_ns) * 1e6)
            verdict = self._catch_up(packet) or self._judge(packet, (now_ns - received_ns) / 1e6)
            if verdict is Handling.DROP:
                continue
            arrivals[packet.pts] = received_ns
            frames = self._decode(packet)
            decoded_ms = (time.monotonic_ns() - now_ns) / 1e6
            for frame in frames:
                came_ns = arrivals.pop(frame.pts, received_ns)
                if verdict is Handling.SHOW:
                    if self._receiver is not None:  # before it is: better lost than judged twice
                        self._receiver.note_shown(packet.pos)
                    yield self._make_shot(frame, converter, came_ns, decoded_ms / len(frames))
            while len(arrivals) > MOST_UNDECODED:
                arrivals.pop(next(iter(arrivals)))

    def interrupt(self) -> None:
        """End soon: at once on a socket of ours, else at the next packet or timeout."""
        self._interrupted = True
        if self._receiver is not None:
            self._receiver.close()

    def close(self) -> None:
        """Close FFmpeg's side and the socket."""
        if self._container is not None:
            self._container.close()
        if self._receiver is not None:
            self._receiver.let_go()

    def _open_container(self, *, parse: bool) -> InputContainer:
        timeouts = (self._options.open_timeout_s, self._options.read_timeout_s)
        if self._link.kind is LinkKind.DEVICE:
            mode = choose_mode(read_card(self._link.argument).modes, self._options.wish)
            return av.open(
                self._link.argument, "r", "v4l2", options=mode.to_options(), timeout=timeouts
            )
        options = input_options(
            self._link,
            open_timeout_s=timeouts[0],
            read_timeout_s=timeouts[1],
            parse=parse,
        )
        options |= bound_pixels(DEFAULT)
        own = self._receiver is not None or self._link.kind is LinkKind.SRT
        return av.open(
            self._link.argument if self._receiver is None else self._receiver,
            "r",
            "mpegts" if own else None,
            options=options,
            timeout=timeouts,
            metadata_errors="ignore",
        )

    def _raise_own_error(self) -> None:
        """Raise why our socket gave no more; FFmpeg only saw the stream end."""
        if self._receiver is not None and self._receiver.error is not None:
            raise self._receiver.error

    def _measure_age_ms(self, packet: "Packet[VideoStream]", asked_ns: int, now_ns: int) -> float:
        if self._receiver is not None:
            return (now_ns - self._receiver.arrived_ns(packet.pos)) / 1e6
        stamp, base = packet.dts if packet.dts is not None else packet.pts, packet.time_base
        media_s = None if stamp is None or base is None else float(stamp * base)
        by_kernel_ms = device_age_ms(media_s) if self._link.kind is LinkKind.DEVICE else None
        if by_kernel_ms is not None:
            return by_kernel_ms
        return max(0.0, self._ages.measure_ms(media_s, asked_ns, now_ns))

    def _catch_up(self, packet: "Packet[VideoStream]") -> Handling | None:
        """Say what to do with what came before this process did; None for what came later."""
        if self._receiver is None:
            return None
        alone = self._is_framed and self._stands_alone(packet)
        if alone:
            self._receiver.note_alone(packet.pos)
        known = self._receiver.is_known(packet.pos)
        if known is None:
            return None
        self._has_begun = self._has_begun or alone
        if not self._has_begun:
            return Handling.DROP
        return Handling.DECODE if known else Handling.SHOW

    def _judge(self, packet: "Packet[VideoStream]", age_ms: float) -> Handling:
        verdict = self._backlog.judge(
            age_ms,
            is_followed=self._receiver is None or self._receiver.waiting_bytes > 0,
            stands_alone=lambda: self._stands_alone(packet),
        )
        if verdict is not Handling.SHOW:
            self._tally.late += 1
        if self._receiver is not None and self._receiver.lost_bytes > self._lost_bytes:
            self._tally.lost_bytes += self._receiver.lost_bytes - self._lost_bytes
            self._lost_bytes = self._receiver.lost_bytes
        if self._receiver is not None and self._receiver.strangers > self._strangers:
            self._tally.strangers += self._receiver.strangers - self._strangers
            self._strangers = self._receiver.strangers
        return verdict

    def _stands_alone(self, packet: "Packet[VideoStream]") -> bool:
        assert self._video is not None
        return packet.is_keyframe or begins_alone(
            bytes(memoryview(packet)[:_NAL_SEARCH_BYTES]), self._video.codec_context.name
        )

    def _decode(self, packet: "Packet[VideoStream]") -> list[VideoFrame]:
        assert self._video is not None
        self._is_damaged = self._is_damaged or packet.is_corrupt
        try:
            return self._video.decode(packet)
        except av.error.InvalidDataError:
            self._tally.broken += 1
            self._is_damaged = True
            return []

    def _make_shot(
        self, frame: VideoFrame, converter: FrameConverter, received_ns: int, decoded_ms: float
    ) -> Shot:
        assert self._video is not None
        begun_ns = time.monotonic_ns()
        decoded, chroma = converter.convert(
            frame,
            self._video.sample_aspect_ratio or self._video.codec_context.sample_aspect_ratio,
        )
        was_damaged, self._is_damaged = self._is_damaged, self._is_damaged or frame.is_corrupt
        if frame.key_frame and not frame.is_corrupt:
            self._is_damaged = False
        base = frame.time_base or self._video.time_base
        return Shot(
            decoded=decoded,
            raw_s=None if frame.pts is None or base is None else float(frame.pts * base),
            received_ns=received_ns,
            decode_ms=decoded_ms + (time.monotonic_ns() - begun_ns) / 1e6,
            damaged=was_damaged or self._is_damaged,
            stands_alone=bool(frame.key_frame),
            chroma=chroma,
        )


def begins_alone(head: bytes, codec: str) -> bool:
    """Return whether a packet's first bytes say that decoding may begin with it (H.264, H.265)."""
    if codec not in _MPEG_NAMES:
        return False
    mask, shift, alone = _MPEG_NAMES[codec]
    at = head.find(b"\0\0\1")
    while 0 <= at < len(head) - 3:
        if (head[at + 3] >> shift) & mask in alone:
            return True
        at = head.find(b"\0\0\1", at + 3)
    return False
