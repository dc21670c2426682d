"""Clips, decoded by FFmpeg through PyAV."""

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.clip import FALLBACK_RATE_HZ, ClipPicture, Region
from neurosono.stream.sources.files.clip_end import ClipEnd
from neurosono.stream.sources.files.frame_decoding import decode_frames, explain
from neurosono.stream.sources.files.upright import FrameConverter

DEMUXERS = (
    "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,gif,asf,flv,ogg,mjpeg,ivf,yuv4mpegpipe,"
    "nut,apng"
)
"""What FFmpeg may open. Its playlists are left out: a text file must not make us read others."""

OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}

FRAME_THREAD_CODECS = frozenset({"mjpeg", "ffv1", "prores", "huffyuv", "ffvhuff", "dnxhd"})
"""Codecs that may decode several pictures at once, each of which stands alone.

Elsewhere one thread decodes. Measured with damaged H.264: frame threads report the damage by chance
(a race between two pictures; 2 of 8 runs missed it), slice threads switch the report off, and one
thread reported it in every run; and on two cores one thread is as fast (2.5 ms a picture of
1920 x 1080 against 3.5 ms by frame threads).
"""

SLOWEST_HZ, FASTEST_HZ = 0.05, 1000.0
"""A rate outside is a damaged header: no scanner's recorder is so slow, or so fast."""

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
            raise SourceBrokenError(explain(error), frame=0) from error
        with container:
            video = find_video(container)
            _set_threads(video, frame_threads=self.frame_threads)
            with contextlib.closing(
                decode_frames(container, video, ClipEnd(container, video, self.path))
            ) as frames:
                began_s = time.perf_counter()
                for frame in frames:
                    pixels, chroma = converter.convert(frame, _find_aspect(video))
                    decode_ms = (time.perf_counter() - began_s) * 1e3
                    yield ClipPicture(_find_time(frame, video), pixels, decode_ms, chroma)
                    began_s = time.perf_counter()


def open_video(path: Path, *, frame_threads: bool) -> VideoClip:
    """Open a clip and decode its first picture; raises `SourceError` if either fails."""
    try:
        with _open_container(path) as container:
            video = find_video(container)
            _set_threads(video, frame_threads=False)  # they would decode on beyond the one picture
            with contextlib.closing(
                decode_frames(container, video, ClipEnd(container, video, path))
            ) as frames:
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
            f"cannot use {str(path)!r} as a clip: {explain(error)}; expected video that FFmpeg "
            "can decode, so export it again or leave it out"
        ) from error


def find_video(container: InputContainer) -> VideoStream:
    """Return the first stream of pictures that is not the cover of a sound file.

    Raises `SourceError` with the bare reason if there is none, or none that can be decoded.
    """
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if getattr(stream, "codec_context", None) is None:  # which PyAV's types do not foresee
            raise SourceError("its video is of a kind that FFmpeg has no decoder for")
        return stream
    raise SourceError("it has no video stream")


def _open_container(path: Path) -> InputContainer:
    # Metadata are nobody's business here, least of all when they are not in UTF-8.
    return av.open(
        str(path.resolve()), mode="r", options=dict(OPEN_OPTIONS), metadata_errors="ignore"
    )


def _set_threads(video: VideoStream, *, frame_threads: bool) -> None:
    threaded = frame_threads and video.codec_context.name in FRAME_THREAD_CODECS
    video.thread_type = "FRAME" if threaded else "SLICE"
    video.codec_context.thread_count = 0 if threaded else 1


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
