"""The good frames of an open clip, up to its end or to where it breaks."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.stream.sources.files.clip_end import ClipEnd

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream


class FrameTimes:
    """Finds when a frame is shown, also where the container only says when it is decoded.

    AVI has no time of showing. With pictures that are stored in another order than they are shown
    in, FFmpeg's guess is wrong; but each picture that comes out of the decoder takes the earliest
    time of decoding that none has taken yet.
    """

    def __init__(self, container: InputContainer, video: VideoStream) -> None:
        self._video = video
        self._decoded_at: deque[float] = deque()
        self._guesses = container.format.name == "avi"

    def note(self, packet: "Packet[Stream]") -> None:
        """Take in the next packet."""
        base = packet.time_base
        if packet.size == 0 or packet.dts is None or base is None:
            return
        self._guesses = self._guesses or packet.pts is None
        self._decoded_at.append(float(packet.dts * base))

    def find_s(self, frame: VideoFrame) -> float | None:
        """Return when the next frame is shown."""
        decoded_at = self._decoded_at.popleft() if self._decoded_at else None
        if self._guesses and self._video.codec_context.has_b_frames:
            return decoded_at
        base = frame.time_base or self._video.time_base
        return None if frame.pts is None or base is None else float(frame.pts * base)


def decode_frames(
    container: InputContainer, video: VideoStream, end: ClipEnd
) -> Generator[tuple[VideoFrame, float | None]]:
    """Yield every good frame and its time, then `SourceBrokenError` if there should be more.

    The time is in seconds on any origin, None where the clip does not say.

    Its message is the bare reason, its `frame` the number of good frames. A damaged picture counts
    as the break, although FFmpeg could guess at what is lost and go on.
    """
    count = 0
    times = FrameTimes(container, video)
    frames = _take_good(_decode_packets(container, video, end, times), end)
    for frame in _hold_back_last(frames, end) if end.doubts_last_picture else frames:
        yield frame, times.find_s(frame)
        count += 1
    reason = end.find_reason()
    if reason is not None:
        raise SourceBrokenError(reason, frame=count)


def explain(error: Exception) -> str:
    """Return why, in FFmpeg's words; never with its file name, which can hold a patient's."""
    strerror = getattr(error, "strerror", None)
    return str(strerror or error).strip().rstrip(".")


def _take_good(frames: Iterable[tuple[VideoFrame, bool]], end: ClipEnd) -> Iterator[VideoFrame]:
    last: VideoFrame | None = None
    for frame, was_held in frames:
        if frame.is_corrupt:
            end.reason = end.reason or "a picture is damaged"
            return
        if was_held and end.find_reason() is not None and not end.is_next(frame, last):
            return
        yield frame
        last = frame


def _hold_back_last(frames: Iterable[VideoFrame], end: ClipEnd) -> Iterator[VideoFrame]:
    held: VideoFrame | None = None
    for frame in frames:
        if held is not None:
            yield held
        held = frame
    if held is not None and end.reason is not None:  # the bad one was met, and this one is not it
        yield held


def _decode_packets(
    container: InputContainer, video: VideoStream, end: ClipEnd, times: "FrameTimes"
) -> Iterator[tuple[VideoFrame, bool]]:
    """Yield each frame, and whether the decoder had held it until there were no more packets."""
    packets = container.demux()
    begun = False
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if packet.stream.index != video.index:
                continue
            end.note(packet, begun=begun)
            times.note(packet)
            if end.reason is not None:
                break
            frames = video.decode(packet)
        except (OSError, av.FFmpegError) as error:
            leading = not begun and end.may_start_anywhere
            if leading and isinstance(error, av.error.InvalidDataError):
                continue
            end.reason = explain(error)
            break
        begun = begun or bool(frames)
        yield from ((frame, packet.size == 0) for frame in frames)
    yield from ((frame, True) for frame in _empty_decoder(video))


def _empty_decoder(video: VideoStream) -> list[VideoFrame]:
    """Return what a decoder still holds when its packets ended early."""
    try:
        return video.codec_context.decode(None)
    except (OSError, av.FFmpegError):
        return []  # the reason why the clip ended early is known already, and is the one to tell
