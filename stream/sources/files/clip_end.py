"""Whether a clip ended where it should: every sign of a cut that a container can give."""

from typing import TYPE_CHECKING, BinaryIO

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from neurosono.stream.sources.files.container_end import find_missing_end

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_DECLARING_DEMUXERS = frozenset({"mov", "avi"})
"""Their headers declare a number of pictures; for others, FFmpeg counts or guesses."""

_BLURRED_DEMUXERS = frozenset({"mpeg", "mpegvideo"})
"""Their packets are put together by a parser, which blames a cut on whole neighbours too: the
decoder has the better judgement on each picture. Only the end of the file cuts their packets."""

_CUT_ANYWHERE_DEMUXERS = frozenset({"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v"})
"""They may begin between two key frames, and so with packets that cannot be decoded."""

_SILENT_DEMUXERS = frozenset({"gif", "mpegts", "mjpeg"})
"""They hand on a cut picture as if it were whole."""

MISSING_INTERVALS = 3
MISSING_SHARE = 0.02
"""A clip is short if over so many pictures, and over this share of its declared length, are
missing. Decision: edit lists and rounding take a picture or two from whole clips."""

NEXT_WITHIN_INTERVALS = 1.5
"""A picture that comes later than this after another is not the next one."""


class ClipEnd:
    """Follows the packets of a clip and judges, at their end, whether it is the clip's end.

    `reason` says why reading stopped early, and is None while nothing is wrong.
    """

    def __init__(self, container: InputContainer, video: VideoStream, file: BinaryIO) -> None:
        self.reason: str | None = None
        self._missing_end = find_missing_end(file)
        self._family = container.format.name.split(",")[0]
        self._declared_packets = video.frames if self._family in _DECLARING_DEMUXERS else 0
        self._declared_end_s = self._find_declared_end_s(video)
        self._interval_s = float(1 / video.average_rate) if video.average_rate else 0.0
        self._packets = 0
        self._is_cut = False
        self._end_s = 0.0

    def note(self, packet: "Packet[Stream]", *, begun: bool) -> None:
        """Take in the next packet of the video stream; sets `reason` if it is cut.

        `begun` says whether a picture was decoded already: a recording may start inside a picture.
        """
        if packet.size == 0:
            return
        if packet.pts is not None and packet.time_base is not None:
            ends_at = packet.pts + (packet.duration or 0)
            self._end_s = max(self._end_s, float(ends_at * packet.time_base))
        self._packets += 1
        self._is_cut = self._is_cut or packet.is_corrupt
        if not packet.is_corrupt or self._family in _BLURRED_DEMUXERS:
            return
        if begun or not self.may_start_anywhere:
            self.reason = "the data of a picture are cut"

    @property
    def may_start_anywhere(self) -> bool:
        """Whether packets before the first picture may be impossible to decode."""
        return self._family in _CUT_ANYWHERE_DEMUXERS

    @property
    def doubts_last_picture(self) -> bool:
        """Whether the last picture may be cut although the decoder took it for whole."""
        return self._missing_end is not None and self._family in _SILENT_DEMUXERS

    def find_reason(self) -> str | None:
        """Return why the clip is not whole, or None if it is, once all packets were noted."""
        if self.reason is not None:
            return self.reason
        if self._is_cut and self._family in _BLURRED_DEMUXERS:
            return "the data of the last picture are cut"
        if self._declared_packets and self._packets >= self._declared_packets:
            return None  # what is missing of the file is its index, not a picture
        missing_s = self._declared_end_s - self._end_s
        if self._declared_packets and missing_s > max(
            MISSING_INTERVALS * self._interval_s, MISSING_SHARE * self._declared_end_s
        ):
            return (
                f"only {self._packets} of the {self._declared_packets} pictures that it declares "
                "are there"
            )
        return self._missing_end

    def is_next(self, frame: VideoFrame, last: VideoFrame | None) -> bool:
        """Return whether `frame` follows `last` with no picture between them.

        Pictures are not stored in the order in which they are shown: a decoder that is emptied at a
        cut also gives some that lie behind missing ones.
        """
        if last is None or frame.time is None or last.time is None or not self._interval_s:
            return True
        return frame.time - last.time <= NEXT_WITHIN_INTERVALS * self._interval_s

    def _find_declared_end_s(self, video: VideoStream) -> float:
        if not self._declared_packets or not video.duration or not video.time_base:
            return 0.0
        if self._family == "avi" and video.average_rate:  # FFmpeg cuts an AVI's duration to fit
            return float(video.frames / video.average_rate)
        return float(((video.start_time or 0) + video.duration) * video.time_base)
