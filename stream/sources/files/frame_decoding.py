"""The good frames of an open clip, up to its end or to where it breaks."""

from collections.abc import Generator, Iterable, Iterator

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.stream.sources.files.clip_end import ClipEnd


def decode_frames(
    container: InputContainer, video: VideoStream, end: ClipEnd
) -> Generator[VideoFrame]:
    """Yield every good frame, then raise `SourceBrokenError` if there should have been more.

    Its message is the bare reason, its `frame` the number of good frames. A damaged picture counts
    as the break, although FFmpeg could guess at what is lost and go on.
    """
    count = 0
    frames = _take_good(_decode_packets(container, video, end), end)
    for frame in _hold_back_last(frames, end) if end.doubts_last_picture else frames:
        yield frame
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
    container: InputContainer, video: VideoStream, end: ClipEnd
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
