"""The overlay as a video file: H.264 in mp4, which every browser plays, at the source's own times.

Written aside and renamed once whole, so that a file of that name is always a whole one.
"""

import contextlib
import math
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.files import create_private

if TYPE_CHECKING:
    from av.packet import Packet

TICKS_HZ = 90_000
"""The clock of video timestamps: divides 24, 25, 30 and 60 Hz evenly (MPEG-2 systems, 2.4.2.2)."""

_ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libopenh264", {"rc_mode": "quality", "allow_skip_frames": "0"}),
    ("libx264", {"preset": "superfast", "crf": "20"}),
)
"""In order of preference. openh264 is BSD-licensed, x264 GPL: where this FFmpeg has both, the
permissive one is enough for an overlay. crf 20 leaves speckle and small type looking untouched;
superfast takes seven tenths of the time that veryfast takes, errs as little (47.0 dB of a phantom's
overlay) and makes files 1.6 to 1.9 times as large: 0.4 MB a second."""

_ENCODER_THREADS = 2
_KEYFRAME_EVERY_S = 2.0
_BT709, _BT601, _LIMITED_RANGE = 1, 6, 1
"""ITU-T H.273 codes. OpenCV converts by BT.601; saying so keeps browsers from guessing."""

_FAILURES = (OSError, av.error.FFmpegError)


class VideoWriter:
    """Writes canvases at their own times; nothing stands under the final name before `close`.

    `canvas_px` is height and width, both even; `nominal_rate_hz` tells players and the encoder how
    fast frames come on average, and how long the last one stays. Raises `OutputError` where the
    place cannot be written, now or later; what was written aside is then removed.
    """

    def __init__(self, path: Path, canvas_px: tuple[int, int], nominal_rate_hz: float) -> None:
        height, width = canvas_px
        if height < 2 or width < 2 or height % 2 or width % 2:
            raise InputError(f"a video's canvas must have even sides, found {width}x{height}")
        if not 0 < nominal_rate_hz < float("inf"):
            raise InputError(f"a video's rate must be above 0 Hz, found {nominal_rate_hz}")
        self.path = path
        self.frames = 0
        self._canvas_px = (height, width)
        self._last_tick = -1
        self._aside = path.with_name(f"{path.stem}.partial{path.suffix}")
        self._container: OutputContainer | None = None
        self._file: FileIO | None = None
        try:
            # by its descriptor: the name may lead elsewhere a moment later
            self._file = FileIO(create_private(self._aside), "rb+")
            self._container = av.open(
                f"/proc/self/fd/{self._file.fileno()}",
                "w",
                format="mp4",
                options={"movflags": "+faststart"},
            )
            self._stream = add_video_stream(self._container, canvas_px, nominal_rate_hz)
            self._container.start_encoding()
        except _FAILURES as error:
            raise self._failed(error) from error
        except OutputError:
            self.abort()
            raise

    def write(self, canvas: Pixels, pts_s: float) -> None:
        """Add one canvas, `(H, W, 3)` BGR uint8, shown from `pts_s` seconds on.

        Every canvas becomes a frame: a time that does not rise is moved one tick past the last.
        """
        if self._container is None:
            raise OutputError(f"{self.path.name} is already closed; open a new writer to go on")
        expected = (*self._canvas_px, 3)
        if canvas.shape != expected or canvas.dtype != np.uint8:
            raise InputError(
                f"a canvas must be {expected} uint8, found {canvas.shape} {canvas.dtype}"
            )
        if not math.isfinite(pts_s):
            raise InputError(f"a canvas must have a time in seconds, found {pts_s}")
        planes = np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last_tick = max(round(pts_s * TICKS_HZ), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, TICKS_HZ)
        try:
            self._mux(self._stream.encode(frame))
        except _FAILURES as error:
            raise self._failed(error) from error
        self.frames += 1

    def close(self) -> None:
        """Finish the file and give it its name; a second call does nothing.

        A writer that was given no canvas leaves no file: there is no video of nothing.
        """
        if self._container is None:
            return
        if self.frames == 0:
            self.abort()
            return
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
            self._container = None
            self._aside.replace(self.path)
            self._let_go()
        except _FAILURES as error:
            raise self._failed(error) from error

    def abort(self) -> None:
        """Give up: remove what was written aside; nothing ever stood under the final name."""
        container, self._container = self._container, None
        with contextlib.suppress(*_FAILURES):  # the file goes anyway
            if container is not None:
                container.close()
        with contextlib.suppress(OSError):  # where it could not even be made, none is to be removed
            self._aside.unlink()
        self._let_go()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        assert self._container is not None
        self._container.mux(packets)

    def _failed(self, error: Exception) -> OutputError:
        self.abort()
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(
            f"cannot write {self.path}: {reason}; choose a folder that exists, may be written "
            f"and has room"
        )


def add_video_stream(
    container: OutputContainer,
    canvas_px: tuple[int, int],
    rate_hz: float,
    *,
    keyframe_every_s: float = _KEYFRAME_EVERY_S,
    threads: int = _ENCODER_THREADS,
) -> VideoStream:
    """Add an H.264 stream whose pictures carry their own times in `TICKS_HZ`.

    `canvas_px` is height and width, both even. Raises `OutputError` without an encoder.
    """
    rate = max(Fraction(rate_hz).limit_denominator(1001), Fraction(1, 1001))
    for name, options in _ENCODERS:
        if name not in av.codecs_available:
            continue
        stream = container.add_stream(name, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = canvas_px
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, TICKS_HZ)
        context.gop_size = max(1, round(keyframe_every_s * rate_hz))
        context.max_b_frames = 0  # reordering lets uneven times shorten the mp4's last frames
        context.thread_count = threads
        context.colorspace, context.color_range = _BT601, _LIMITED_RANGE
        context.color_primaries = context.color_trc = _BT709
        return stream
    names = " or ".join(name for name, _ in _ENCODERS)
    raise OutputError(
        f"this FFmpeg has no H.264 encoder: {names} is needed; reinstall PyAV from its wheel"
    )
