"""Whether a clip ended where it should: every sign of a cut that a container can give."""

from pathlib import Path
from typing import TYPE_CHECKING

from av.container import InputContainer
from av.video.stream import VideoStream

from stream.sources.container_end import find_missing_end

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_DECLARING_DEMUXERS = frozenset({"mov", "avi"})
"""Their headers declare a number of pictures; for others, FFmpeg counts or guesses."""

_PARSED_DEMUXERS = frozenset({"mpeg", "mpegts", "mpegvideo", "h264", "hevc", "m4v"})
"""Their packets are put together by a parser, which blames a cut on whole neighbours too: the
decoder has the better judgement on each picture."""

MISSING_INTERVALS = 3
MISSING_SHARE = 0.02
"""A clip is short if over so many pictures, and over this share of its declared length, are
missing. Decision: edit lists and rounding take a picture or two from whole clips."""


class ClipEnd:
    """Follows the packets of a clip and judges, at their end, whether it is the clip's end.

    `reason` says why reading stopped early, and is None while nothing is wrong.
    """

    def __init__(self, container: InputContainer, video: VideoStream, path: Path) -> None:
        self.reason: str | None = None
        self._path = path
        self._family = container.format.name.split(",")[0]
        self._declared_packets = video.frames if self._family in _DECLARING_DEMUXERS else 0
        self._declared_end_s = self._find_declared_end_s(video)
        self._interval_s = float(1 / video.average_rate) if video.average_rate else 0.0
        self._packets = 0
        self._last_is_cut = False
        self._end_s = 0.0

    def note(self, packet: "Packet[Stream]") -> None:
        """Take in the next packet of the video stream; sets `reason` if it is cut."""
        if packet.size == 0:
            return
        if packet.pts is not None and packet.time_base is not None:
            ends_at = packet.pts + (packet.duration or 0)
            self._end_s = max(self._end_s, float(ends_at * packet.time_base))
        self._packets += 1
        self._last_is_cut = packet.is_corrupt
        if packet.is_corrupt and self._family not in _PARSED_DEMUXERS:
            self.reason = "the data of a picture are cut"

    def find_reason(self) -> str | None:
        """Return why the clip is not whole, or None if it is."""
        if self.reason is not None:
            return self.reason
        if self._last_is_cut:
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
        return find_missing_end(self._path)

    def _find_declared_end_s(self, video: VideoStream) -> float:
        if not self._declared_packets or not video.duration or not video.time_base:
            return 0.0
        if self._family == "avi" and video.average_rate:  # FFmpeg cuts an AVI's duration to fit
            return float(video.frames / video.average_rate)
        return float(((video.start_time or 0) + video.duration) * video.time_base)
