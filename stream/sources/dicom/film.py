"""Compressed video inside DICOM (MPEG-2, H.264, HEVC), decoded by FFmpeg as any clip is."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.stream.sources.clip import ClipPicture, Region
from neurosono.stream.sources.dicom.fragments import list_fragments
from neurosono.stream.sources.dicom.header import DicomHeader
from neurosono.stream.sources.dicom.square import square_beside, square_regions
from neurosono.stream.sources.files.video import VideoClip, open_part
from neurosono.stream.sources.identity import Identity
from neurosono.stream.sources.left_out import Reason
from neurosono.stream.sources.limits import MediaLimits


@dataclass(frozen=True)
class DicomFilm:
    """A DICOM file whose pixel data are one stream of video."""

    video: VideoClip
    header: DicomHeader
    format_name: str = "dcm"
    noun: str = "DICOM"

    @property
    def path(self) -> Path:
        """The file."""
        return self.video.path

    @property
    def interval_s(self) -> float:
        """The usual time from a picture to the next."""
        return self.header.interval_s if self._states_times else self.video.interval_s

    @property
    def us_regions(self) -> tuple[Region, ...]:
        """Where SequenceOfUltrasoundRegions says that ultrasound is."""
        return square_regions(self.header)

    @property
    def left_out(self) -> tuple[Reason, ...]:
        """Other streams beside the one that is read, and what lies beside the picture to judge."""
        return self.video.left_out + self.header.beside.left_out

    @property
    def identity(self) -> Identity:
        """Whose it is, as hashes."""
        return self.header.identity

    def pictures(self) -> Generator[ClipPicture]:
        """Decode to the end; raises `SourceBrokenError` if fewer come than declared."""
        times_s, count = self.header.times_s if self._states_times else (), 0
        beside = square_beside(self.header)
        for picture in self.video.pictures():
            stated = count < len(times_s)
            pts_s = times_s[count] if stated else picture.pts_s
            decoded = beside.cover(picture.decoded)
            yield replace(picture, pts_s=pts_s, scale=self.header.scale, decoded=decoded)
            count += 1
        if count < self.header.frame_count:
            raise SourceBrokenError(
                f"only {count} of the {self.header.frame_count} pictures that it declares are "
                "there",
                frame=count,
            )

    @property
    def _states_times(self) -> bool:
        return len(self.header.times_s) > 1


def open_film(path: Path, header: DicomHeader, limits: MediaLimits) -> DicomFilm:
    """Decode the first picture; raises `SourceError` with the bare reason if that fails."""
    with path.open("rb") as file:
        _, fragments = list_fragments(file, header.pixels_at or 0)
    slices = tuple((each.at, each.length) for each in fragments)
    return DicomFilm(open_part(path, slices, aspect=header.aspect, limits=limits), header)
