"""A stand-in scanner: a phantom or a clip, encoded and sent in real time over a real socket."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.stream.pictures.picture import Source
from neurosono.stream.simulate.transmit import DATAGRAM_BYTES, Transmitter

TIME_BASE = Fraction(1, 90000)
"""The clock of MPEG-TS (ISO 13818-1)."""

MOST_KEPT_BYTES = 512 << 20
"""A loop is encoded once and then sent again from memory, up to so much; longer ones are encoded
anew in each round."""

MUX_OPTIONS = {"flush_packets": "1", "max_delay": "0"}
"""Every picture leaves at once."""

ENCODER_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "18", "forced-idr": "1"}
"""No look-ahead and no reordering: what a hardware encoder on a scanner's output does."""


class RatedSource(Source, Protocol):
    """A source that knows its usual rate."""

    @property
    def nominal_rate_hz(self) -> float:
        """Pictures a second; over 0."""


@dataclass(frozen=True)
class SimulateOptions:
    """How the scanner behaves, and misbehaves.

    `jitter_ms` delays each picture by up to so much, at random but in order. `key_every_s` is
    between two pictures that stand alone: who joins waits for one. `states_lengths`
    writes each picture's length before it, which saves the receiver from waiting for the next one;
    many encoders do not.
    """

    loop: bool = False
    seconds: float | None = None
    jitter_ms: float = 0.0
    key_every_s: float = 1.0
    states_lengths: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 < self.seconds <= 1e6:
            raise InputError(f"--seconds must be over 0 and finite, found {self.seconds}")
        if not 0 <= self.jitter_ms <= 10_000:
            raise InputError(f"--jitter-ms must be 0 to 10000, found {self.jitter_ms}")
        if not 0 < self.key_every_s <= 1e4:
            raise InputError(f"--key-every-s must be over 0, to 10000, found {self.key_every_s}")


@dataclass
class Sent:
    """What was sent so far; `late` pictures were made over an interval after their time."""

    pictures: int = 0
    bytes: int = 0
    late: int = 0
    rounds: int = 0


@dataclass(frozen=True)
class EncodedPicture:
    """One picture as H.264; `pts_s` is its time in its round."""

    pts_s: float
    data: bytes
    is_key: bool


OnSent = Callable[[int, int], None]
"""Hears the number of a picture and when it was captured (monotonic ns), once it was sent."""


class Encoder:
    """H.264, one packet a picture, key pictures as asked, a new stream at each change of size."""

    def __init__(self, rate_hz: float, key_every_s: float = 1.0) -> None:
        self._rate = Fraction(rate_hz).limit_denominator(1001)
        self._key_every_s = key_every_s
        self._codec: VideoCodecContext | None = None
        self._count = 0

    def encode(self, pixels: Pixels, *, as_key: bool) -> tuple[bytes, bool]:
        """Return one picture's packet, and whether it stands alone."""
        even = _make_even(pixels)
        size_px = even.shape[1], even.shape[0]
        codec = self._codec
        if codec is None or (codec.width, codec.height) != size_px:
            codec = self._codec = self._open(*size_px)
        frame = av.VideoFrame.from_ndarray(even, format="gray" if even.ndim == 2 else "bgr24")
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        if as_key:
            frame.pict_type = PictureType.I
        packets = codec.encode(frame)
        assert len(packets) == 1  # zero latency: each picture comes out as it goes in
        return bytes(packets[0]), packets[0].is_keyframe

    def _open(self, width_px: int, height_px: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width_px, height_px, "yuv420p"
        codec.time_base, codec.framerate = 1 / self._rate, self._rate
        codec.gop_size = max(1, round(self._rate * self._key_every_s))
        codec.thread_count = 1
        codec.options = dict(ENCODER_OPTIONS)
        return codec


class Muxer:
    """MPEG-TS with one H.264 stream, into a transmitter."""

    def __init__(self, transmitter: Transmitter, rate_hz: float, *, states_lengths: bool) -> None:
        options = {**MUX_OPTIONS, "omit_video_pes_length": "0" if states_lengths else "1"}
        self._container = av.open(
            transmitter, "w", format="mpegts", buffer_size=DATAGRAM_BYTES, options=options
        )
        rate = Fraction(rate_hz).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        # Its encoder is never used (sizes may change, and a loop is encoded once); FFmpeg wants it.
        self._stream.width, self._stream.height = 320, 240
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1

    def send(self, picture: EncodedPicture, stream_s: float) -> None:
        """Send a picture whose time in the stream is `stream_s`."""
        packet = Packet(picture.data)
        packet.stream = self._stream
        packet.time_base = TIME_BASE
        packet.pts = packet.dts = round(stream_s / TIME_BASE)
        packet.is_keyframe = picture.is_key
        self._container.mux_one(packet)

    def close(self) -> None:
        """End the stream."""
        with contextlib.suppress(OSError, av.FFmpegError):
            self._container.close()


class Scanner:
    """Plays a source in real time; a round is the source once."""

    def __init__(
        self,
        source: RatedSource,
        transmitter: Transmitter,
        options: SimulateOptions,
        *,
        stop: threading.Event,
        on_sent: OnSent | None = None,
    ) -> None:
        self._source, self._transmitter, self._options = source, transmitter, options
        self._stop, self._on_sent = stop, on_sent
        self._interval_s = 1 / source.nominal_rate_hz
        self._encoder = Encoder(source.nominal_rate_hz, options.key_every_s)
        self._random = random.Random(options.seed)
        self._kept: list[EncodedPicture] = []
        self._is_kept_whole = False
        self._wants_key = False
        self._zero_ns = self._begun_ns = self._captured_ns = time.monotonic_ns()
        self.sent = Sent()

    def play(self) -> None:
        """Send until the source ends (or for ever, looping), the time is over, or `stop` is set.

        Raises `SourceBrokenError` where the source breaks, and `OutputError`.
        """
        muxer = Muxer(
            self._transmitter,
            self._source.nominal_rate_hz,
            states_lengths=self._options.states_lengths,
        )
        self._zero_ns = self._begun_ns = time.monotonic_ns()
        try:
            round_s = 0.0
            while not self._stop.is_set():
                last_s = round_s
                for picture in self._round(round_s):
                    last_s = round_s + picture.pts_s
                    self._send(muxer, picture)
                    if self._is_over():
                        return
                self.sent.rounds += 1
                round_s = last_s + self._interval_s
                if not self._options.loop:
                    return
        finally:
            muxer.close()

    def _round(self, round_s: float) -> Iterator[EncodedPicture]:
        """Yield the pictures of one round, each at its time, until asked to stop."""
        if self._is_kept_whole:
            for picture in self._kept:
                if self._wait_until_due(round_s + picture.pts_s):
                    return
                yield picture
            return
        kept_bytes = 0
        self._kept = []
        for raw in self._source.pictures():
            if self._wait_until_due(round_s + raw.pts_s):
                return
            data, is_key = self._encoder.encode(
                raw.pixels, as_key=self._wants_key or not self.sent.pictures
            )
            picture = EncodedPicture(raw.pts_s, data, is_key)
            kept_bytes += len(data)
            if self._options.loop and kept_bytes <= MOST_KEPT_BYTES:
                self._kept.append(picture)
            yield picture
        self._is_kept_whole = self._options.loop and kept_bytes <= MOST_KEPT_BYTES

    def _wait_until_due(self, due_s: float) -> bool:
        """Wait for a picture's time; a late one moves all that follow. Returns whether to stop."""
        self._wants_key = self._transmitter.has_newcomer() or self._wants_key
        late_s = (time.monotonic_ns() - self._begun_ns) / 1e9 - due_s
        if late_s > self._interval_s:
            self.sent.late += 1
            self._begun_ns += int(late_s * 1e9)
        has_stopped = self._stop.wait(max(0.0, -late_s))
        self._captured_ns = time.monotonic_ns()
        return has_stopped

    def _send(self, muxer: Muxer, picture: EncodedPicture) -> None:
        if self._wants_key and not picture.is_key:
            return  # who just joined can begin with a key picture alone
        self._wants_key = False
        if self._options.jitter_ms:  # on the way, not in the scanner: the stamp stays as it is
            self._stop.wait(self._random.uniform(0, self._options.jitter_ms / 1e3))
        muxer.send(picture, (self._captured_ns - self._zero_ns) / 1e9)
        if self._on_sent is not None:
            self._on_sent(self.sent.pictures, self._captured_ns)
        self.sent.pictures += 1
        self.sent.bytes += len(picture.data)

    def _is_over(self) -> bool:
        seconds = self._options.seconds
        return self._stop.is_set() or (
            seconds is not None and (time.monotonic_ns() - self._zero_ns) / 1e9 >= seconds
        )


def _make_even(pixels: Pixels) -> Pixels:
    """Repeat the last row and column where a side is odd: half of each is the colour's."""
    height_px, width_px = pixels.shape[:2]
    if height_px % 2 == 0 and width_px % 2 == 0:
        return pixels
    padded = cv2.copyMakeBorder(
        pixels, 0, height_px % 2, 0, width_px % 2, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(padded, dtype=np.uint8)
