"""Whether what a DICOM file is to be decoded to fits, before any of it is."""

import struct
import zlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.files.jpeg import START_OF_FRAME, list_segments
from neurosono.stream.sources.limits import MOST_PICTURES, MediaLimits

_J2K_START = b"\xff\x4f\xff\x51"
"""A codestream of JPEG 2000: SOC, then SIZ (ITU-T T.800, A.5.1)."""
_JPEG_LS_FRAME = 0xF7
_CHUNK_BYTES = 1 << 20


def check_size(image: Dataset, frame_bytes: int, frames: int, limits: MediaLimits) -> None:
    """Raise `SourceError` with the bare reason where a picture, or their number, is too large."""
    try:
        limits.check_picture(int(image.Columns), int(image.Rows))
        limits.check_bytes(frame_bytes)
    except ValueError as error:
        raise SourceError(str(error)) from error
    if frames > MOST_PICTURES:
        raise SourceError(f"it declares {frames} pictures, of which {MOST_PICTURES} is the most")


def check_deflated(path: Path, limits: MediaLimits) -> None:
    """Raise `SourceError` where a deflated file grows too large; of any other, do nothing.

    pydicom inflates such a file in one go, whatever is asked of it.
    """
    with path.open("rb") as file:
        read_preamble(file, force=True)
        meta = _read_file_meta_info(file)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while (data := file.read(_CHUNK_BYTES)) and not inflater.eof:
            while data and not inflater.eof:
                total += len(inflater.decompress(data, _CHUNK_BYTES))
                data = inflater.unconsumed_tail
                if 3 * total > limits.megabytes * 1_000_000:  # pydicom holds it three times over
                    raise SourceError(
                        f"it inflates to more than {total / 1e6:.0f} MB, which takes more than the "
                        f"{limits.megabytes} MB of --max-megabytes"
                    )


def check_codestream(data: bytes, image: Dataset) -> None:
    """Raise `ValueError` where a JPEG 2000 or JPEG-LS picture is not as large as declared."""
    found = _find_j2k_size(data) or _find_jpeg_ls_size(data)
    declared = int(image.Columns), int(image.Rows), int(image.SamplesPerPixel)
    if found is not None and found != declared:
        raise ValueError("a picture is not of the size that the file declares")


def _find_j2k_size(data: bytes) -> tuple[int, int, int] | None:
    at = data.find(_J2K_START)
    if at < 0 or len(data) < at + 42:
        return None
    width, height, left, top = struct.unpack_from(">4I", data, at + 8)
    return width - left, height - top, struct.unpack_from(">H", data, at + 40)[0]


def _find_jpeg_ls_size(data: bytes) -> tuple[int, int, int] | None:
    for each in list_segments(data)[0]:
        if each.marker in {*START_OF_FRAME, _JPEG_LS_FRAME} and len(each.payload) >= 6:
            height, width = struct.unpack_from(">HH", each.payload, 1)
            return width, height, each.payload[5]
    return None
