"""Clips, decoded by FFmpeg through PyAV."""

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.clip import FALLBACK_RATE_HZ, ClipPicture, Region
from neurosono.stream.sources.files.clip_end import ClipEnd
from neurosono.stream.sources.files.frame_decoding import decode_frames, explain
from neurosono.stream.sources.files.kinds import looks_like_media
from neurosono.stream.sources.files.parts import find_parts, find_rest
from neurosono.stream.sources.files.size import find_size
from neurosono.stream.sources.files.slices import Slice, SliceFile
from neurosono.stream.sources.files.upright import FrameConverter
from neurosono.stream.sources.identity import Identity
from neurosono.stream.sources.left_out import Reason
from neurosono.stream.sources.limits import DEFAULT, MediaLimits

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

_HEAD_BYTES = 1 << 16
"""A JPEG says its size behind what a camera put before it, which is mostly shorter."""

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
    """A clip whose container was read and whose first picture was decoded.

    `parts` are where the clips lie that were joined into the file, each as slices of it; empty if
    it is one. `aspect` overrules what container and codec say. `demuxer` is FFmpeg's name of the
    container where FFmpeg must not guess. `unread` says that pictures of another kind lie behind
    its end.
    """

    path: Path
    format_name: str
    interval_s: float
    frame_threads: bool
    parts: tuple[tuple[Slice, ...], ...] = ()
    demuxer: str | None = None
    aspect: Fraction | None = None
    limits: MediaLimits = DEFAULT
    noun: str = "clip"
    us_regions: tuple[Region, ...] = ()
    left_out: tuple[Reason, ...] = ()
    unread: bool = False
    identity: Identity = field(default_factory=dict)

    def pictures(self) -> Generator[ClipPicture]:
        """Decode to the end; raises `SourceBrokenError` where that comes too early.

        Pixels that are more than 2 % off square are made square. Interlaced pictures are left as
        they are. A change of size shows in the pictures. A joined clip goes on in time where the
        one before it ends.
        """
        count, ends_s = 0, 0.0
        for number, part in enumerate(self.parts or ((),)):
            shift_s: float | None = None if number else 0.0
            try:
                for picture in self._decode(part):
                    if shift_s is None and picture.pts_s is not None:
                        shift_s = ends_s - picture.pts_s
                    if picture.pts_s is not None and shift_s is not None:
                        picture = replace(picture, pts_s=picture.pts_s + shift_s)  # noqa: PLW2901
                        ends_s = (picture.pts_s or 0.0) + self.interval_s
                    yield picture
                    count += 1
            except SourceBrokenError as error:
                raise SourceBrokenError(str(error), frame=count) from error.__cause__
        if self.unread:
            raise SourceBrokenError(
                "another file lies behind its end, and was not read", frame=count
            )

    def _decode(self, part: tuple[Slice, ...]) -> Generator[ClipPicture]:
        converter = FrameConverter()
        with contextlib.ExitStack() as stack:
            try:
                where = self.path, part, self.demuxer
                opened = stack.enter_context(open_container(*where, limits=self.limits))
                video = find_video(opened)
            except (SourceError, OSError, ValueError, av.FFmpegError) as error:
                raise SourceBrokenError(explain(error), frame=0) from error
            file = stack.enter_context(_open_file(self.path, part))
            _set_threads(video, frame_threads=self.frame_threads)
            bound(video, self.limits)
            frames = stack.enter_context(
                contextlib.closing(decode_frames(opened, video, ClipEnd(opened, video, file)))
            )
            began_s = time.perf_counter()
            for frame, pts_s in frames:
                pixels, chroma = converter.convert(frame, self.aspect or _find_aspect(video))
                decode_ms = (time.perf_counter() - began_s) * 1e3
                yield ClipPicture(pts_s, pixels, decode_ms, chroma)
                began_s = time.perf_counter()


def open_video(
    path: Path, *, frame_threads: bool, demuxer: str | None = None, limits: MediaLimits = DEFAULT
) -> VideoClip:
    """Open a clip and decode its first picture; raises `SourceError` if either fails.

    Where clips were joined, each of them is opened.
    """
    try:
        found = find_parts(path)
        parts = tuple((each,) for each in found) if len(found) > 1 else ()
        clip = _open_first(path, (), demuxer, limits) if not parts else None
        for part in reversed(parts):
            clip = _open_first(path, part, demuxer, limits)
        assert clip is not None
        rest = find_rest(path)
        unread = looks_like_media(rest)
        left_out = (*clip.left_out, *((Reason.TRAILING,) if rest and not unread else ()))
        return replace(
            clip, frame_threads=frame_threads, parts=parts, unread=unread, left_out=left_out
        )
    except (SourceError, SourceBrokenError, OSError, ValueError, av.FFmpegError) as error:
        raise SourceError(
            f"cannot use {str(path)!r} as a clip: {explain(error)}; expected video that FFmpeg "
            "can decode, so export it again or leave it out"
        ) from error


def open_part(
    path: Path, part: tuple[Slice, ...], *, aspect: Fraction | None, limits: MediaLimits = DEFAULT
) -> VideoClip:
    """Open the clip that lies in slices of a file; raises `SourceError` with the bare reason."""
    try:
        return replace(_open_first(path, part, None, limits), parts=(part,), aspect=aspect)
    except (SourceBrokenError, OSError, ValueError, av.FFmpegError) as error:
        raise SourceError(explain(error)) from error


def _open_first(
    path: Path, part: tuple[Slice, ...], demuxer: str | None, limits: MediaLimits
) -> VideoClip:
    _check_head(path, part, limits)
    with (
        open_container(path, part, demuxer, limits=limits) as container,
        _open_file(path, part) as file,
    ):
        video = find_video(container)
        limits.check_picture(video.width, video.height)
        _set_threads(video, frame_threads=False)  # they would decode on beyond the one picture
        bound(video, limits)
        with (
            _suspect_size(video, limits),
            contextlib.closing(
                decode_frames(container, video, ClipEnd(container, video, file))
            ) as frames,
        ):
            first = next(frames, None)
        if first is None:
            raise SourceError("no picture in it can be decoded")
        FrameConverter().convert(first[0], _find_aspect(video))
        others = len(_list_streams(container)) - 1
        return VideoClip(
            path=path,
            format_name=_name_format(container, path),
            interval_s=1 / _find_rate_hz(video),
            frame_threads=False,
            demuxer=demuxer,
            limits=limits,
            left_out=(Reason.SECOND_STREAM,) * others,
        )


def _check_head(path: Path, part: tuple[Slice, ...], limits: MediaLimits) -> None:
    """Raise `ValueError` where a file that begins as a still does says that it is too large."""
    with _open_file(path, part) as file:
        size_px = find_size(file.read(_HEAD_BYTES))
    if size_px is not None:
        limits.check_picture(*size_px)


@contextlib.contextmanager
def _suspect_size(video: VideoStream, limits: MediaLimits) -> Iterator[None]:
    """Say more than FFmpeg, which forgets a size that it refuses, and calls it an invalid one."""
    unknown = not (video.width and video.height)
    try:
        yield
    except (SourceBrokenError, av.FFmpegError) as error:
        if not unknown:
            raise
        raise SourceError(
            f"{explain(error)} (it says no size, or one of more than the {limits.megapixels:g} "
            "million pixels of --max-megapixels)"
        ) from error


def bound(video: VideoStream, limits: MediaLimits) -> None:
    """Let FFmpeg refuse larger pictures of a stream, wherever in it they come."""
    video.codec_context.options = {**video.codec_context.options, **bound_pixels(limits)}


def bound_pixels(limits: MediaLimits) -> dict[str, str]:
    """Return what tells FFmpeg how large a picture may be, where it opens a container."""
    return {"max_pixels": str(limits.pixels)}


def find_video(container: InputContainer) -> VideoStream:
    """Return the stream of pictures to read: the one that was made the default, or the largest.

    That the first is the default says nothing: writers make it so where nobody chose. Raises
    `SourceError` with the bare reason if there is none, or none that can be decoded.
    """
    streams = _list_streams(container)
    if not streams:
        raise SourceError("it has no video stream")
    # which PyAV's types do not foresee
    usable = [each for each in streams if getattr(each, "codec_context", None) is not None]
    if not usable:
        raise SourceError("its video is of a kind that FFmpeg has no decoder for")
    chosen = [each for each in usable if each.disposition & Disposition.default]
    if len(chosen) == 1 and chosen[0] is not usable[0]:
        return chosen[0]
    return max(usable, key=lambda each: each.width * each.height)


def _list_streams(container: InputContainer) -> list[VideoStream]:
    """Return the streams of pictures; the cover of a sound file is none."""
    return [
        each for each in container.streams.video if not each.disposition & Disposition.attached_pic
    ]


def open_container(
    path: Path,
    part: tuple[Slice, ...] = (),
    demuxer: str | None = None,
    *,
    limits: MediaLimits = DEFAULT,
) -> InputContainer:
    """Open a file, or slices of it, as FFmpeg may see it."""
    # An absolute path: FFmpeg takes what stands before a colon for a protocol. Metadata are
    # nobody's business here, least of all when they are not in UTF-8.
    where = SliceFile(path, part) if part else str(path.resolve())
    options = dict(OPEN_OPTIONS) if not part else {"format_whitelist": DEMUXERS}
    options |= bound_pixels(limits)
    return av.open(where, mode="r", format=demuxer, options=options, metadata_errors="ignore")


def _open_file(path: Path, part: tuple[Slice, ...]) -> BinaryIO:
    return cast(BinaryIO, SliceFile(path, part)) if part else path.open("rb")


def _set_threads(video: VideoStream, *, frame_threads: bool) -> None:
    threaded = frame_threads and video.codec_context.name in FRAME_THREAD_CODECS
    video.thread_type = "FRAME" if threaded else "SLICE"
    video.codec_context.thread_count = 0 if threaded else 1


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
