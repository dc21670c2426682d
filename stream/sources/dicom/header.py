"""What we read of a DICOM header: pixels, timing and geometry, and nothing about anybody."""

import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import UID

from neurosono.engine.contracts.errors import SourceError
from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.structures.biometry import MM_PER_PX_RANGE
from neurosono.stream.sources.clip import FALLBACK_RATE_HZ, STILL_S, Region

PIXEL_TAGS = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "FrameIncrementPointer",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]
"""Attributes of the modules Image Pixel, VOI LUT and Modality LUT (DICOM PS3.3, C.7.6.3, C.11)."""

TIMING_TAGS = ["FrameTime", "FrameTimeVector", "RecommendedDisplayFrameRate", "CineRate"]
"""Attributes of the modules Cine and Multi-frame (DICOM PS3.3, C.7.6.5 and C.7.6.6)."""

GEOMETRY_TAGS = ["SequenceOfUltrasoundRegions", "PixelSpacing"]
"""DICOM PS3.3, C.8.5.5 and C.7.6.3 (basic pixel spacing)."""

SQUARE_WITHIN = 0.02
"""Sides of a pixel, and pixels of several regions, that differ by less are taken for the same."""
_CENTIMETRES, _TWO_DIMENSIONAL = 3, 1
"""PhysicalUnitsXDirection and RegionSpatialFormat (DICOM PS3.3, C.8.5.5.1)."""

READ_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom and its decoders raise on damaged files; they share no base class."""

_PIXEL_ELEMENT = (0x7FE0, 0x0010)
_VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"
"""MPEG-2, MPEG-4 AVC and HEVC inside DICOM all begin so (DICOM PS3.6, A)."""


@dataclass(frozen=True)
class DicomHeader:
    """All that is kept of a header.

    `image` holds `PIXEL_TAGS` only. `pixels_at` is the offset in the file of the value of the
    pixel data, None if the file is deflated. `times_s` are the timestamps, shorter than
    `frame_count` where the file does not say.
    """

    image: Dataset
    syntax: UID
    frame_count: int
    pixels_at: int | None
    times_s: tuple[float, ...]
    interval_s: float
    us_regions: tuple[Region, ...]
    scale: Scaled


def read_header(path: Path) -> DicomHeader:
    """Read the header of a DICOM file; raises `SourceError` with the bare reason."""
    tags = [*PIXEL_TAGS, *TIMING_TAGS, *GEOMETRY_TAGS]
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # pydicom's warnings quote values and name the file
        try:
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=list(tags)
            )
            syntax = UID(dataset.file_meta.TransferSyntaxUID)
            if syntax.is_deflated:
                pixels_at = None
                has_pixels = "PixelData" in read_deflated(path)
            else:
                pixels_at = _find_pixel_value(file, syntax)
                has_pixels = pixels_at is not None
            if not has_pixels:
                raise SourceError("it has no pixel data")
            if syntax.startswith(_VIDEO_SYNTAXES):
                raise SourceError("it holds compressed video; export that as an mp4 instead")
            return _digest(dataset, syntax, pixels_at)
        except READ_FAILURES as error:
            # Their messages quote values, which can be a patient's.
            raise SourceError("its header cannot be read as DICOM") from error


def read_deflated(path: Path) -> Dataset:
    """Read the pixels of a deflated file, which can only be read whole, with `PIXEL_TAGS`."""
    return pydicom.dcmread(path, force=True, specific_tags=[*PIXEL_TAGS, "PixelData"])


def _digest(dataset: Dataset, syntax: UID, pixels_at: int | None) -> DicomHeader:
    frame_count = int(dataset.get("NumberOfFrames") or 1)
    if frame_count < 1 or not dataset.get("Rows") or not dataset.get("Columns"):
        raise SourceError("it has no pixel data: its pictures have no size")
    interval_s, times_s = _find_times(dataset, frame_count)
    image = Dataset()
    image.set_original_encoding(*dataset.original_encoding)  # palettes are read by it
    for keyword in PIXEL_TAGS:
        if keyword in dataset:
            image[keyword] = dataset[keyword]
    return DicomHeader(
        image=image,
        syntax=syntax,
        frame_count=frame_count,
        pixels_at=pixels_at,
        times_s=times_s,
        interval_s=interval_s,
        us_regions=_find_regions(dataset),
        scale=_find_scale(dataset),
    )


def _find_pixel_value(file: BinaryIO, syntax: UID) -> int | None:
    """Return the offset of the value of the pixel data, at whose tag `file` stands, if there."""
    order = "<" if syntax.is_little_endian else ">"
    tag = file.read(4)
    if len(tag) < 4 or struct.unpack(f"{order}HH", tag) != _PIXEL_ELEMENT:
        return None
    length = file.read(4 if syntax.is_implicit_VR else 8)[-4:]
    if len(length) < 4 or struct.unpack(f"{order}I", length)[0] == 0:
        return None
    return file.tell()


def _find_times(dataset: Dataset, frame_count: int) -> tuple[float, tuple[float, ...]]:
    """Return the usual interval and the timestamps, in seconds.

    FrameTimeVector holds the steps from each picture to the next, in ms, with a 0 first; FrameTime
    is one step for all. The rates that are meant for display come last.
    """
    if frame_count == 1:
        return STILL_S, (0.0,)
    steps = [step / 1e3 for step in _read_numbers(dataset, "FrameTimeVector")]
    frame_time = [step / 1e3 for step in _read_numbers(dataset, "FrameTime") if step > 0]
    if len(steps) > 1 and sum(steps) > 0:
        times = [0.0]
        for step in steps[1:frame_count]:
            times.append(times[-1] + step)
        return times[-1] / (len(times) - 1), tuple(times)
    for keyword in ("RecommendedDisplayFrameRate", "CineRate"):
        frame_time += [1 / rate for rate in _read_numbers(dataset, keyword) if rate > 0]
    if not frame_time:
        return 1 / FALLBACK_RATE_HZ, ()
    return frame_time[0], tuple(index * frame_time[0] for index in range(frame_count))


def _read_numbers(dataset: Dataset, keyword: str) -> list[float]:
    value: Any = dataset.get(keyword)
    values = [] if value in (None, "") else value if hasattr(value, "__iter__") else [value]
    numbers = [float(number) for number in values]
    return [number for number in numbers if math.isfinite(number)]


def _find_regions(dataset: Dataset) -> tuple[Region, ...]:
    """Return the regions that are whole and inside the picture; the corners are inclusive."""
    found: list[Region] = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        corners = [
            item.get(f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")
        ]
        if None in corners:
            continue
        left, top, right, bottom = (int(corner) for corner in corners)
        right, bottom = min(right, int(dataset.Columns) - 1), min(bottom, int(dataset.Rows) - 1)
        if 0 <= left < right and 0 <= top < bottom:
            found.append((left, top, right - left + 1, bottom - top + 1))
    return tuple(found)


def _find_scale(dataset: Dataset) -> Scaled:
    """Return how large a pixel is: by the ultrasound regions, or else by PixelSpacing.

    Not guessed: regions of other units (M-mode, spectra) say nothing, and where those of pictures
    disagree, or a pixel is not square, nothing is known.
    """
    sides: list[float] = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        units = [item.get(f"PhysicalUnits{axis}Direction") for axis in "XY"]
        picture = item.get("RegionSpatialFormat", _TWO_DIMENSIONAL) == _TWO_DIMENSIONAL
        if picture and units == [_CENTIMETRES] * 2:
            for axis in "XY":
                sides += [abs(10 * step) for step in _read_numbers(item, f"PhysicalDelta{axis}")]
    sides = sides or [abs(step) for step in _read_numbers(dataset, "PixelSpacing")]
    least, most = min(sides, default=0.0), max(sides, default=0.0)
    lowest, highest = MM_PER_PX_RANGE
    known = len(sides) > 1 and lowest <= least and most <= highest
    if not known or most > least * (1 + SQUARE_WITHIN):
        return Scaled()
    mean = (least + most) / 2
    return Scaled(mm_per_px=mean, mm_per_px_from=ScaleSource.DICOM)
