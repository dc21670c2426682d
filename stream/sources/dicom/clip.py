"""DICOM ultrasound, still and cine: pydicom reads it, GDCM and OpenCV decode the pictures.

All are permissively licensed. Pillow and pylibjpeg are neither needed nor used where they happen
to be installed, so that every machine decodes the same file to the same pixels.
"""

import contextlib
import io
import time
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import gdcm
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import as_pixel_options, get_decoder, iter_pixels
from pydicom.uid import JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, RLELossless

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.clip import ClipPicture, Region
from neurosono.stream.sources.dicom.fragments import group_fragments, read_fragments
from neurosono.stream.sources.dicom.header import (
    READ_FAILURES,
    DicomHeader,
    read_deflated,
    read_header,
)
from neurosono.stream.sources.dicom.jpeg import check_jpeg, decode_baseline
from neurosono.stream.sources.dicom.tone import Toner, make_toner

_JPEGS = (JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1)

gdcm.Trace.WarningOff()  # they go straight to standard error, around every logger
gdcm.Trace.ErrorOff()


@dataclass(frozen=True)
class DicomClip:
    """A DICOM file whose header was read and whose first picture was decoded."""

    path: Path
    header: DicomHeader
    toner: Toner
    format_name: str = "dcm"
    noun: str = "DICOM"

    @property
    def interval_s(self) -> float:
        """The usual time from a picture to the next."""
        return self.header.interval_s

    @property
    def us_regions(self) -> tuple[Region, ...]:
        """Where SequenceOfUltrasoundRegions says that ultrasound is."""
        return self.header.us_regions

    def pictures(self) -> Generator[ClipPicture]:
        """Decode picture by picture; raises `SourceBrokenError` if fewer come than declared."""
        times_s = self.header.times_s
        samples = _iterate_samples(self.path, self.header)
        for index in range(self.header.frame_count):
            began_s = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # they would name the file
                    found = next(samples, None)
                    pixels = None if found is None else self.toner.tone(*found)
            except READ_FAILURES as error:
                raise SourceBrokenError(_explain(error), frame=index) from error
            if pixels is None:
                raise SourceBrokenError(
                    f"only {index} of the {self.header.frame_count} pictures that it declares are "
                    "there",
                    frame=index,
                )
            pts_s = times_s[index] if index < len(times_s) else None
            decode_ms = (time.perf_counter() - began_s) * 1e3
            yield ClipPicture(pts_s, pixels, decode_ms, scale=self.header.scale)


def open_dicom(path: Path) -> DicomClip:
    """Read a header and decode the first picture; raises `SourceError` if either fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = read_header(path)
            samples, photometric = next(_iterate_samples(path, header), (None, ""))
            if samples is None:
                raise SourceError("none of its pictures is there as a whole")
            toner = make_toner(header.image, samples)
            toner.tone(samples, photometric)
    except (SourceError, *READ_FAILURES) as error:
        raise SourceError(
            f"cannot use {str(path)!r} as DICOM: {_explain(error)}; expected an ultrasound image "
            "or cine with pixel data, so export it again or leave it out"
        ) from error
    return DicomClip(path=path, header=header, toner=toner)


def _iterate_samples(path: Path, header: DicomHeader) -> Iterator[tuple[NDArray[Any], str]]:
    """Yield the samples of each picture with what their channels mean (PhotometricInterpretation).

    Colours are not converted here: OpenCV does that several times faster than pydicom.
    """
    if header.syntax.is_encapsulated:
        yield from _iterate_compressed(path, header)
        return
    meaning = str(header.image.PhotometricInterpretation)
    if meaning == "YBR_FULL_422":
        yield from _iterate_subsampled(path, header)
        return
    source = read_deflated(path) if header.syntax.is_deflated else path
    for samples in iter_pixels(source, raw=True):
        yield samples, meaning


def _iterate_subsampled(path: Path, header: DicomHeader) -> Iterator[tuple[NDArray[Any], str]]:
    """Yield pictures of half the colours, each on its own.

    pydicom 3.0.2 takes the second and later ones for full size, as it forgets what they are once it
    has expanded the first.
    """
    decoder = get_decoder(header.syntax)
    options = as_pixel_options(header.image, number_of_frames=1, pixel_keyword="PixelData")
    length = int(header.image.Rows) * int(header.image.Columns) * 2
    with contextlib.ExitStack() as stack:
        if header.pixels_at is None:
            file: BinaryIO = io.BytesIO(read_deflated(path).PixelData)
        else:
            file = stack.enter_context(path.open("rb"))
            file.seek(header.pixels_at)
        while len(data := file.read(length)) == length:
            samples, found = decoder.as_array(data, raw=True, **options)
            yield samples, str(found["photometric_interpretation"])


def _iterate_compressed(path: Path, header: DicomHeader) -> Iterator[tuple[NDArray[Any], str]]:
    decoder = get_decoder(header.syntax)
    plugin = "pydicom" if header.syntax == RLELossless else "gdcm"
    options = as_pixel_options(header.image, number_of_frames=1)
    options.pop("extended_offsets", None)  # each picture is given on its own
    with path.open("rb") as file:
        for group in group_fragments(file, header.pixels_at or 0, header.frame_count):
            data = read_fragments(file, group)
            if header.syntax in _JPEGS:
                check_jpeg(data, header.image)
            if header.syntax == JPEGBaseline8Bit:
                yield decode_baseline(data, header.image)
                continue
            samples, found = decoder.as_array(
                encapsulate([data]),
                raw=True,
                decoding_plugin=plugin,
                **options,
            )
            yield samples, str(found["photometric_interpretation"])


def _explain(error: Exception) -> str:
    """Return the first sentence of why, on one line; the library's messages go on for pages."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split()) or type(error).__name__
    return words.split(": ")[-1][:200].rstrip(".")
