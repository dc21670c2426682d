"""Clips, decoded by FFmpeg through PyAV."""

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.contracts.errors import SourceBrokenError, SourceError
from stream.sources.clip import FALLBACK_RATE_HZ, ClipPicture, Region
from stream.sources.clip_end import ClipEnd
from stream.sources.upright import FrameConverter

DEMUXERS = (
    "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,gif,asf,flv,ogg,mjpeg,ivf,yuv4mpegpipe,"
    "nut,apng"
)
"""What FFmpeg may open. Its playlists are left out: a text file must not make us read others."""

OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}

SLICE_THREADS = 2
"""Threads where frame threads would add delay; the smallest machine that we serve has two cores."""

SLOWEST_HZ, FASTEST_HZ = 0.05, 1000.0
"""A rate outside is a damaged header: no scanner's recorder is so slow, or so fast."""

_CUT_ANYWHERE = frozenset({"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v"})
"""Formats that may begin between two key frames, and so with packets that cannot be decoded."""

_NAMES = {".jpeg": "jpg", ".mpg": "mpeg", ".mpe": "mpeg", ".m2ts": "ts", ".mts": "ts"}
_FAMILIES = {
    "mov": {".mp4", ".mov", ".m4v", ".3gp"},
    "matroska": {".mkv", ".webm"},
    "mpeg": {".mpeg", ".mpg", ".mpe", ".vob"},
    "mpegts": {".ts", ".mts", ".m2ts"},
}


@dataclass(frozen=True)
class VideoClip:
    """A clip whose container was read and whose first picture was decoded."""

    path: Path
    format_name: str
    interval_s: float
    frame_threads: bool
    noun: str = "clip"
    us_regions: tuple[Region, ...] = ()

    def pictures(self) -> Generator[ClipPicture]:
        """Decode to the end; raises `SourceBrokenError` where that comes too early.

        Pixels that are more than 2 % off square are made square. Interlaced pictures are left as
        they are. A change of size shows in the pictures.
        """
        converter = FrameConverter()
        try:
            container = _open_container(self.path)
        except (OSError, av.FFmpegError) as error:
            raise SourceBrokenError(_explain(error), frame=0) from error
        with container:
            video = find_video(container)
            video.thread_type = "AUTO" if self.frame_threads else "SLICE"
            video.codec_context.thread_count = 0 if self.frame_threads else SLICE_THREADS
            with contextlib.closing(_decode(container, video, self.path)) as frames:
                began_s = time.perf_counter()
                for frame in frames:
                    pixels = converter.convert(frame, _find_aspect(video))
                    decode_ms = (time.perf_counter() - began_s) * 1e3
                    yield ClipPicture(_find_time(frame, video), pixels, decode_ms)
                    began_s = time.perf_counter()


def open_video(path: Path, *, frame_threads: bool) -> VideoClip:
    """Open a clip and decode its first picture; raises `SourceError` if either fails."""
    try:
        with _open_container(path) as container:
            video = find_video(container)
            video.thread_type = "SLICE"  # frame threads would decode far ahead of the one we need
            with contextlib.closing(_decode(container, video, path)) as frames:
                frame = next(frames, None)
            if frame is None:
                raise SourceError("no picture in it can be decoded")
            FrameConverter().convert(frame, _find_aspect(video))
            return VideoClip(
                path=path,
                format_name=_name_format(container, path),
                interval_s=1 / _find_rate_hz(video),
                frame_threads=frame_threads,
            )
    except (SourceError, SourceBrokenError, OSError, ValueError, av.FFmpegError) as error:
        raise SourceError(
            f"cannot use {str(path)!r} as a clip: {_explain(error)}; expected video that FFmpeg "
            "can decode, so export it again or leave it out"
        ) from error


def find_video(container: InputContainer) -> VideoStream:
    """Return the first stream of pictures that is not the cover of a sound file."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise SourceError("it has no video stream")


def _open_container(path: Path) -> InputContainer:
    # Metadata are nobody's business here, least of all when they are not in UTF-8.
    return av.open(
        str(path.resolve()), mode="r", options=dict(OPEN_OPTIONS), metadata_errors="ignore"
    )


def _decode(container: InputContainer, video: VideoStream, path: Path) -> Generator[VideoFrame]:
    """Yield every good frame, then raise `SourceBrokenError` if there should have been more."""
    end = ClipEnd(container, video, path)
    count = 0
    try:
        for frame in _decode_until_cut(container, video, end):
            if frame.is_corrupt:
                end.reason = "a picture is damaged"
                break
            yield frame
            count += 1
    except (OSError, av.FFmpegError) as error:
        end.reason = _explain(error)
    reason = end.find_reason()
    if reason is not None:
        raise SourceBrokenError(reason, frame=count)


def _decode_until_cut(
    container: InputContainer, video: VideoStream, end: ClipEnd
) -> Iterator[VideoFrame]:
    begun = False
    packets = container.demux()
    while end.reason is None:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if packet.stream.index != video.index:
                continue
            end.note(packet)
            if end.reason is not None:
                break
            frames = video.decode(packet)
        except (OSError, av.FFmpegError) as error:
            if not begun and container.format.name in _CUT_ANYWHERE and _is_data_error(error):
                continue
            end.reason = _explain(error)
            break
        begun = begun or bool(frames)
        yield from frames
    yield from _drain(video)


def _drain(video: VideoStream) -> list[VideoFrame]:
    """Return what a decoder still holds when its packets ended early."""
    try:
        return video.codec_context.decode(None)
    except (OSError, av.FFmpegError):
        return []  # the reason why the clip ended early is known already, and is the one to tell


def _is_data_error(error: Exception) -> bool:
    return isinstance(error, av.error.InvalidDataError)


def _find_time(frame: VideoFrame, video: VideoStream) -> float | None:
    base = frame.time_base or video.time_base
    return None if frame.pts is None or base is None else float(frame.pts * base)


def _find_aspect(video: VideoStream) -> Fraction | None:
    return video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio


def _find_rate_hz(video: VideoStream) -> float:
    for rate in (video.average_rate, video.guessed_rate):
        if rate and SLOWEST_HZ <= rate <= FASTEST_HZ:
            return float(rate)
    return FALLBACK_RATE_HZ


def _name_format(container: InputContainer, path: Path) -> str:
    """Return the container's name, as its suffix has it where that fits; never another part."""
    family = container.format.name.split(",")[0]
    suffix = path.suffix.lower()
    if suffix in _FAMILIES.get(family, ()):
        return _NAMES.get(suffix, suffix[1:])
    return {"mov": "mp4", "matroska": "mkv"}.get(family, family)


def _explain(error: Exception) -> str:
    """Return why, in FFmpeg's words; never with its file name, which can hold a patient's."""
    strerror = getattr(error, "strerror", None)
    return str(strerror or error).strip().rstrip(".")
