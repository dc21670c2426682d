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
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import as_pixel_options, get_decoder
from pydicom.uid import JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, RLELossless

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.clip import Clip, ClipPicture, NoPicturesError, Region
from neurosono.stream.sources.dicom.fragments import group_fragments, read_fragments
from neurosono.stream.sources.dicom.header import (
    READ_FAILURES,
    DicomHeader,
    frame_bytes,
    is_film,
    read_deflated,
    read_header,
)
from neurosono.stream.sources.dicom.jpeg import check_jpeg, decode_baseline
from neurosono.stream.sources.dicom.size import check_codestream
from neurosono.stream.sources.dicom.square import square_beside, square_regions
from neurosono.stream.sources.dicom.tone import Toner, align_samples, make_toner
from neurosono.stream.sources.files.square import make_square
from neurosono.stream.sources.identity import Identity
from neurosono.stream.sources.left_out import Reason
from neurosono.stream.sources.limits import DEFAULT, MediaLimits

_JPEGS = (JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1)

MOST_PADDING_BYTES = 64
"""Behind the last picture: DICOM pads to an even length, some writers to that of a cache line."""

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
    def left_out(self) -> tuple[Reason, ...]:
        """What lies beside the picture to judge; it is shown black."""
        return self.header.beside.left_out

    @property
    def interval_s(self) -> float:
        """The usual time from a picture to the next."""
        return self.header.interval_s

    @property
    def us_regions(self) -> tuple[Region, ...]:
        """Where SequenceOfUltrasoundRegions says that ultrasound is."""
        return square_regions(self.header)

    @property
    def identity(self) -> Identity:
        """Whose it is, as hashes."""
        return self.header.identity

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
                    pixels = None if found is None else self._show(*found)
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
        if self.header.surplus_bytes > MOST_PADDING_BYTES:
            raise SourceBrokenError(
                "the data go on behind the last picture, and are no whole picture",
                frame=self.header.frame_count,
            )

    def _show(self, samples: NDArray[Any], photometric: str) -> NDArray[np.uint8]:
        shown = make_square(self.toner.tone(samples, photometric), self.header.aspect)
        return square_beside(self.header).cover(shown)


def open_dicom(path: Path, limits: MediaLimits = DEFAULT) -> Clip:
    """Read a header and decode the first picture; raises `SourceError` if either fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = read_header(path, limits)
            if is_film(header.syntax):
                from neurosono.stream.sources.dicom.film import open_film  # and all of FFmpeg

                return open_film(path, header, limits)
            samples, photometric = next(_iterate_samples(path, header), (None, ""))
            if samples is None:
                raise SourceError("none of its pictures is there as a whole")
            toner = make_toner(header.image, samples)
            toner.tone(samples, photometric)
    except (SourceError, *READ_FAILURES) as error:
        kind = type(error) if isinstance(error, NoPicturesError) else SourceError
        raise kind(
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
    else:
        yield from _iterate_native(path, header)


def _iterate_native(path: Path, header: DicomHeader) -> Iterator[tuple[NDArray[Any], str]]:
    """Yield pictures that are not compressed, each on its own, to the end of the data."""
    decoder = get_decoder(header.syntax)
    options = as_pixel_options(header.image, number_of_frames=1, pixel_keyword="PixelData")
    options["bits_stored"] = options[
        "bits_allocated"
    ]  # it would take the lowest, wherever they lie
    length = frame_bytes(header.image)
    with contextlib.ExitStack() as stack:
        if header.pixels_at is None:
            file: BinaryIO = io.BytesIO(read_deflated(path).PixelData)
        else:
            file = stack.enter_context(path.open("rb"))
            file.seek(header.pixels_at)
        for _ in range(header.frame_count):
            data = file.read(length)
            if len(data) < length:
                return
            samples, found = decoder.as_array(data + b"\0" * (length % 2), raw=True, **options)
            meaning = str(found["photometric_interpretation"])
            yield align_samples(samples, header.image, compressed=False), meaning


def _iterate_compressed(path: Path, header: DicomHeader) -> Iterator[tuple[NDArray[Any], str]]:
    decoder = get_decoder(header.syntax)
    plugin = "pydicom" if header.syntax == RLELossless else "gdcm"
    options = as_pixel_options(header.image, number_of_frames=1)
    options.pop("extended_offsets", None)  # each picture is given on its own
    if header.syntax == RLELossless:
        options["bits_stored"] = options["bits_allocated"]
    with path.open("rb") as file:
        for group in group_fragments(file, header.pixels_at or 0, header.frame_count):
            data = read_fragments(file, group)
            if header.syntax in _JPEGS:
                check_jpeg(data, header.image)
            elif header.syntax != RLELossless:
                check_codestream(data, header.image)
            if header.syntax == JPEGBaseline8Bit:
                yield decode_baseline(data, header.image)
                continue
            samples, found = decoder.as_array(
                encapsulate([data]),
                raw=True,
                decoding_plugin=plugin,
                **options,
            )
            meaning = str(found["photometric_interpretation"])
            yield align_samples(samples, header.image, compressed=True), meaning


def _explain(error: Exception) -> str:
    """Return the first sentence of why, on one line; the library's messages go on for pages."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "decoding it takes more memory than --max-megabytes allows"
    words = " ".join(str(error).split()) or type(error).__name__
    return words.split(": ")[-1][:200].rstrip(".")
