"""What we read of a DICOM header: pixels, timing and geometry, and nothing about anybody."""

import struct
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import (
    UID,
    EnhancedUSVolumeStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from neurosono.engine.contracts.errors import SourceError
from neurosono.engine.contracts.frame import Scaled
from neurosono.engine.contracts.notice import MAKER
from neurosono.stream.sources.clip import (
    FALLBACK_RATE_HZ,
    STILL_S,
    NoPicturesError,
    OwnResultError,
    Region,
    VolumeError,
)
from neurosono.stream.sources.dicom.beside import Beside, find_beside
from neurosono.stream.sources.dicom.fragments import UNDEFINED, count_pictures
from neurosono.stream.sources.dicom.geometry import (
    GEOMETRY_TAGS,
    find_aspect,
    find_regions,
    find_scale,
    read_numbers,
)
from neurosono.stream.sources.dicom.size import check_deflated, check_size
from neurosono.stream.sources.files.square import square_size
from neurosono.stream.sources.identity import IDENTITY_TAGS, Identity, hash_identity
from neurosono.stream.sources.limits import MediaLimits

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

READ_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom and its decoders raise on damaged files; they share no base class."""

_PIXEL_ELEMENT = (0x7FE0, 0x0010)
_FRAME_TIME = 0x00181063
_VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"
"""MPEG-2, MPEG-4 AVC and HEVC inside DICOM all begin so (DICOM PS3.6, A)."""


@dataclass(frozen=True)
class DicomHeader:
    """All that is kept of a header.

    `image` holds `PIXEL_TAGS` only. `pixels_at` is the offset in the file of the value of the
    pixel data, None if the file is deflated, `pixels_length` its length in bytes, None where it is
    compressed. `frame_count` is what the data hold where that is more than the file declares,
    `surplus_bytes` is what follows the last whole picture.
    `times_s` are the timestamps, shorter than `frame_count` where the file does not say. `aspect`
    is a pixel's width over its height, None where the file says nothing.
    """

    image: Dataset
    syntax: UID
    frame_count: int
    pixels_at: int | None
    pixels_length: int | None
    surplus_bytes: int
    aspect: Fraction | None
    identity: Identity
    times_s: tuple[float, ...]
    interval_s: float
    us_regions: tuple[Region, ...]
    beside: Beside
    scale: Scaled


def read_header(path: Path, limits: MediaLimits) -> DicomHeader:
    """Read the header of a DICOM file; raises `SourceError` with the bare reason.

    `NoPicturesError` where it is a whole DICOM object of another kind, `OwnResultError` where it is
    one of ours, `VolumeError` where it is one of a scanner's volumes.
    """
    tags = [*PIXEL_TAGS, *TIMING_TAGS, *GEOMETRY_TAGS, *IDENTITY_TAGS, "SOPClassUID"]
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # pydicom's warnings quote values and name the file
        try:
            check_deflated(path, limits)
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=[*tags, "Manufacturer"]
            )
            if dataset.get("Manufacturer") == MAKER:
                raise OwnResultError("it is a result of neurosono, and no picture of a scanner")
            if dataset.get("SOPClassUID") == EnhancedUSVolumeStorage:
                raise VolumeError("it is a volume (Enhanced US Volume), whose slices are no cine")
            syntax = _find_syntax(dataset)
            if syntax.is_deflated:
                length = len(read_deflated(path).get("PixelData") or b"")
                pixels: tuple[int | None, int | None] | None = (None, length) if length else None
            else:
                pixels = _find_pixel_value(file, syntax)
            if pixels is None:
                if "SOPClassUID" in dataset and "Rows" not in dataset:
                    raise NoPicturesError("it has no pixel data")
                raise SourceError("it has no pixel data")
            return _digest(dataset, syntax, *pixels, file, limits)
        except READ_FAILURES as error:
            # Their messages quote values, which can be a patient's.
            raise SourceError("its header cannot be read as DICOM") from error


def _find_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax; of a file without a meta header, the one that it was read by."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    if stated:
        return UID(stated)
    implicit, little = dataset.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def read_deflated(path: Path) -> Dataset:
    """Read the pixels of a deflated file, which can only be read whole, with `PIXEL_TAGS`."""
    return pydicom.dcmread(path, force=True, specific_tags=[*PIXEL_TAGS, "PixelData"])


def _digest(
    dataset: Dataset,
    syntax: UID,
    pixels_at: int | None,
    length: int | None,
    file: BinaryIO,
    limits: MediaLimits,
) -> DicomHeader:
    declared = int(dataset.get("NumberOfFrames") or 1)
    if declared < 1 or not dataset.get("Rows") or not dataset.get("Columns"):
        raise SourceError("it has no pixel data: its pictures have no size")
    image = Dataset()
    image.set_original_encoding(*dataset.original_encoding)  # palettes are read by it
    for keyword in PIXEL_TAGS:
        if keyword in dataset:
            image[keyword] = dataset[keyword]
    check_size(image, frame_bytes(image), declared, limits)
    if syntax.is_encapsulated:
        length = None
        found = 0 if is_film(syntax) else count_pictures(file, pixels_at or 0, syntax)
    elif length is None:
        raise SourceError("the length of its pixel data is not given")
    else:
        found = length // frame_bytes(image)
    frame_count = max(declared, found)
    interval_s, times_s = _find_times(dataset, frame_count)
    aspect, regions = find_aspect(dataset), find_regions(dataset)
    beside = find_beside(regions)
    size_px = int(dataset.Columns), int(dataset.Rows)
    return DicomHeader(
        image=image,
        syntax=syntax,
        frame_count=frame_count,
        pixels_at=pixels_at,
        pixels_length=length,
        surplus_bytes=0 if length is None else max(0, length - frame_count * frame_bytes(image)),
        aspect=aspect,
        identity=hash_identity(dataset),
        times_s=times_s,
        interval_s=interval_s,
        us_regions=tuple(region for region, _ in regions),
        beside=beside,
        # a picture that is made square is not the one that the file measures
        scale=find_scale(dataset, beside) if square_size(*size_px, aspect) == size_px else Scaled(),
    )


def is_film(syntax: UID) -> bool:
    """Whether the pixel data are MPEG-2, H.264 or HEVC (DICOM PS3.6, A)."""
    return bool(syntax.startswith(_VIDEO_SYNTAXES))


def frame_bytes(image: Dataset) -> int:
    """Return the bytes of one picture that is not compressed (DICOM PS3.3, C.7.6.3)."""
    samples = int(image.SamplesPerPixel)
    if str(image.PhotometricInterpretation) == "YBR_FULL_422":
        samples = 2
    pixels = int(image.Rows) * int(image.Columns) * samples
    return max(1, pixels * int(image.BitsAllocated) // 8)


def _find_pixel_value(file: BinaryIO, syntax: UID) -> tuple[int, int | None] | None:
    """Return offset and length of the value of the pixel data, at whose tag `file` stands.

    None where there is none; the length is None where it is undefined.
    """
    order = "<" if syntax.is_little_endian else ">"
    tag = file.read(4)
    if len(tag) < 4 or struct.unpack(f"{order}HH", tag) != _PIXEL_ELEMENT:
        return None
    field = file.read(4 if syntax.is_implicit_VR else 8)[-4:]
    length = struct.unpack(f"{order}I", field)[0] if len(field) == 4 else 0
    if length == 0:
        return None
    return file.tell(), None if length == UNDEFINED else length


def _find_times(dataset: Dataset, frame_count: int) -> tuple[float, tuple[float, ...]]:
    """Return the usual interval and the timestamps, in seconds.

    FrameTimeVector holds the steps from each picture to the next, in ms, with a 0 first; FrameTime
    is one step for all; FrameIncrementPointer says which of them holds. The rates that are meant
    for display come last.
    """
    if frame_count == 1:
        return STILL_S, (0.0,)
    steps = [step / 1e3 for step in read_numbers(dataset, "FrameTimeVector")]
    frame_time = [step / 1e3 for step in read_numbers(dataset, "FrameTime") if step > 0]
    pointed = dataset.get("FrameIncrementPointer") == _FRAME_TIME and bool(frame_time)
    if len(steps) > 1 and sum(steps) > 0 and not pointed:
        times = [0.0]
        for step in steps[1:frame_count]:
            times.append(times[-1] + step)
        return times[-1] / (len(times) - 1), tuple(times)
    for keyword in ("RecommendedDisplayFrameRate", "CineRate"):
        frame_time += [1 / rate for rate in read_numbers(dataset, keyword) if rate > 0]
    if not frame_time:
        return 1 / FALLBACK_RATE_HZ, ()
    return frame_time[0], tuple(index * frame_time[0] for index in range(frame_count))
