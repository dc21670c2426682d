"""Everything that was given, in the order in which it was given, as one exam."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.sources.clip import Clip, Filed, NoPicturesError, Region
from neurosono.stream.sources.clock import ExamClock
from neurosono.stream.sources.files.folder import list_media
from neurosono.stream.sources.files.kinds import FileKind, find_demuxer, find_kind, is_there
from neurosono.stream.sources.identity import Identity, refuse_mixture
from neurosono.stream.sources.left_out import NAMED, LeftOut, tell_left_out
from neurosono.stream.sources.limits import DEFAULT, MediaLimits
from neurosono.stream.sources.phantom_source import PREFIX, open_phantom

_NOUN_ORDER = ("clip", "DICOM", "still", "phantom")


class ExamSource:
    """Clips, stills, DICOM files and phantoms as one exam (a `Source`).

    Every part was opened, and its first picture decoded, before this was made. `left_out` is what
    was given beside and is not among the pictures.
    """

    def __init__(self, clips: Sequence[Clip], *, left_out: Sequence[LeftOut] = ()) -> None:
        if not clips:
            raise SourceError("no source was given; expected a clip, a still, DICOM or a folder")
        self._clips = tuple(clips)
        self._clock = ExamClock()
        self._begins: list[int] = []
        self.left_out = tuple(left_out)

    @property
    def description(self) -> str:
        """Kinds, counts and formats, as `3 clips (mp4), 2 DICOM`; never a file's name."""
        parts: list[str] = []
        for noun in _NOUN_ORDER:
            formats = [clip.format_name for clip in self._clips if clip.noun == noun]
            if formats and noun == "phantom":
                parts.extend(formats)
            elif formats:
                plural = noun if len(formats) == 1 or noun == "DICOM" else f"{noun}s"
                names = "" if noun == "DICOM" else f" ({', '.join(Counter(formats))})"
                parts.append(f"{len(formats)} {plural}{names}")
        return ", ".join(parts)

    @property
    def nominal_rate_hz(self) -> float:
        """The usual rate of the first clip; 2 Hz if that is a still."""
        return 1 / self._clips[0].interval_s

    @property
    def repaired_timestamps(self) -> int:
        """How many timestamps were missing or impossible, so far, in the latest reading."""
        return self._clock.repaired

    @property
    def us_regions(self) -> dict[int, tuple[Region, ...]]:
        """Where files themselves say that ultrasound is: x, y, width, height, by clip."""
        return {i: clip.us_regions for i, clip in enumerate(self._clips) if clip.us_regions}

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Whose each part is, as hashes, where its file says so."""
        return tuple(clip.identity for clip in self._clips if clip.identity)

    @property
    def nouns(self) -> set[str]:
        """Which kinds of clip there are, as `Clip.noun` has them."""
        return {clip.noun for clip in self._clips}

    @property
    def dicom_files(self) -> dict[int, Path]:
        """The files that are DICOM, by their place among all clips, from 0."""
        numbered = enumerate(self._clips)
        return {i: c.path for i, c in numbered if c.noun == "DICOM" and isinstance(c, Filed)}

    @property
    def begun(self) -> int:
        """How many of the clips the latest reading has begun."""
        return len(self._begins)

    def locate(self, index: int) -> tuple[int, int]:
        """Return which clip, and which of its pictures, the picture `index` of the exam is.

        All from 0; it knows the pictures that the latest reading has given so far.
        """
        clip = bisect_right(self._begins, index) - 1
        return clip, index - self._begins[clip]

    def pictures(self) -> Generator[Picture]:
        """Decode the exam from its start.

        Raises `SourceBrokenError` after the last good picture of the clip that breaks; what comes
        after that clip is not read.
        """
        self._clock, self._begins = clock, begins = ExamClock(), list[int]()
        index = 0
        for number, clip in enumerate(self._clips):
            clock.begin_clip(clip.interval_s)
            begins.append(index)
            with closing(clip.pictures()) as pictures:
                try:
                    for found in pictures:
                        pts_s = clock.stamp(found.pts_s)
                        yield Picture(
                            index,
                            number,
                            pts_s,
                            found.decoded,
                            found.decode_ms,
                            chroma=found.chroma,
                            scale=found.scale,
                        )
                        index += 1
                except SourceBrokenError as error:
                    raise self._tell_break(error, number, index) from error

    def _tell_break(self, error: SourceBrokenError, number: int, index: int) -> SourceBrokenError:
        clip = self._clips[number]
        return SourceBrokenError(
            f"{clip.noun} {number + 1} of {len(self._clips)} ({clip.format_name}) breaks at its "
            f"picture {error.frame + 1}, frame {index} of the exam: {error}; what came before is "
            "kept, so copy or export the file again for the rest",
            frame=index,
        )


def open_source(
    arguments: Sequence[str],
    *,
    frame_threads: bool = True,
    strict: bool = False,
    mixed: bool = False,
    gathered: bool = False,
    limits: MediaLimits = DEFAULT,
) -> ExamSource:
    """Open everything that was given as one exam, and decode the first picture of each part.

    Each argument is a clip, a still, a DICOM file, a folder of those, or a phantom as
    `phantom:LABEL?seed=7&seconds=20`. `frame_threads` lets clips of single pictures (as MJPEG) be
    decoded several at once, which is faster and later: right for a replay. Of files that were
    `gathered`, as by their study, those that hold no pictures are left out, as in a folder. Raises
    `SourceError`, before anything is begun, if any part cannot be used, naming all of them; if
    anything is left out, where `strict`; if DICOM headers name several patients or studies, unless
    `mixed`; if a picture is larger than `limits`.
    """
    opened = _Opened(frame_threads, limits)
    for argument in arguments:
        if argument.startswith(PREFIX):
            opened.clips.append(open_phantom(argument))
            continue
        path = Path(argument)
        if not argument or not is_there(path):
            raise SourceError(
                f"there is no {argument!r}; expected a clip, a still, a DICOM file, a folder of "
                "them or phantom:LABEL, so check the path"
            )
        if path.is_dir():
            opened.take_folder(path)
        elif gathered:
            opened.take_found(path, path.name)
        else:
            opened.take_file(path, path.name)
    opened.refuse_bad()
    if opened.left_out and not opened.clips:
        raise SourceError(
            f"no file of the exam holds pictures; {'; '.join(tell_left_out(opened.left_out))}"
        )
    if strict and opened.left_out:
        raise SourceError(
            f"--strict, and {'; '.join(tell_left_out(opened.left_out))}; move them elsewhere, or "
            "leave --strict out"
        )
    if not mixed:
        refuse_mixture(clip.identity for clip in opened.clips)
    return ExamSource(opened.clips, left_out=opened.left_out)


class _Opened:
    """What was opened so far, what was left out, and what cannot be used."""

    def __init__(self, frame_threads: bool, limits: MediaLimits) -> None:
        self._frame_threads, self._limits = frame_threads, limits
        self.clips: list[Clip] = []
        self.left_out: list[LeftOut] = []
        self._bad: list[SourceError] = []

    def take_folder(self, folder: Path) -> None:
        """Open the media of a folder; what holds no pictures is left out."""
        listing = list_media(folder, lambda _, error: self._bad.append(error))
        self.left_out.extend(listing.left_out)
        before = len(self.clips) + len(self._bad)
        for file in listing.media:
            self.take_found(file, str(file.relative_to(folder)))
        if listing.media and len(self.clips) + len(self._bad) == before:
            raise SourceError(
                f"the folder {str(folder)!r} holds no clip, still or DICOM file with pictures; "
                f"{'; '.join(tell_left_out(self.left_out))}; name a folder with an exam in it"
            )

    def take_file(self, path: Path, name: str) -> None:
        """Open one file; raises `SourceError` if it cannot be used."""
        clip = _open_file(path, self._frame_threads, self._limits)
        self.clips.append(clip)
        self.left_out.extend(LeftOut(name, reason) for reason in clip.left_out)

    def take_found(self, path: Path, name: str) -> None:
        """Open a file that nobody named: without pictures it is left out, a bad one is noted."""
        try:
            self.take_file(path, name)
        except NoPicturesError as error:
            self.left_out.append(LeftOut(name, error.reason))
        except SourceError as error:
            self._bad.append(error)

    def refuse_bad(self) -> None:
        """Raise one `SourceError` about all files of folders that cannot be used."""
        if len(self._bad) == 1:
            raise self._bad[0]
        if self._bad:
            whys = [str(error).split("; ")[0] for error in self._bad]
            more = f" and {len(whys) - NAMED} more" if len(whys) > NAMED else ""
            raise SourceError(
                f"{len(whys)} files cannot be used: {'; '.join(whys[:NAMED])}{more}; export them "
                "again or move them elsewhere"
            )


def _open_file(path: Path, frame_threads: bool, limits: MediaLimits) -> Clip:
    try:
        kind = find_kind(path)
        if kind is FileKind.DICOM:
            # Only an exam with DICOM in it pays for the import of its readers.
            from neurosono.stream.sources.dicom.clip import open_dicom

            return open_dicom(path, limits)
        if kind is FileKind.STILL:
            from neurosono.stream.sources.files.still import open_still

            return open_still(path, limits)
        from neurosono.stream.sources.files.video import open_video

        demuxer = find_demuxer(path)
        return open_video(path, frame_threads=frame_threads, demuxer=demuxer, limits=limits)
    except OSError as error:
        raise SourceError(
            f"cannot read {str(path)!r}: {error.strerror or error}; expected a file that may be "
            "read, so check its permissions"
        ) from error
