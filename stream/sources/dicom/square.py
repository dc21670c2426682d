"""The regions of a DICOM file in its pictures as they are shown, with square pixels."""

from dataclasses import replace

from neurosono.stream.sources.clip import Region
from neurosono.stream.sources.dicom.beside import Beside
from neurosono.stream.sources.dicom.header import DicomHeader
from neurosono.stream.sources.files.square import square_size


def square_regions(header: DicomHeader) -> tuple[Region, ...]:
    """Return where the file says that ultrasound is, in pixels of the pictures that are shown."""
    return tuple(_square(header, each) for each in header.us_regions)


def square_beside(header: DicomHeader) -> Beside:
    """Return what lies beside the picture to judge, in pixels of the pictures that are shown."""
    beside = header.beside
    regions = tuple(_square(header, each) for each in beside.regions)
    picture = None if beside.picture is None else _square(header, beside.picture)
    return replace(beside, picture=picture, regions=regions)


def _square(header: DicomHeader, region: Region) -> Region:
    rows, columns = int(header.image.Rows), int(header.image.Columns)
    width_px, height_px = square_size(columns, rows, header.aspect)
    if (width_px, height_px) == (columns, rows):
        return region
    across, down = width_px / columns, height_px / rows
    x, y, width, height = region
    return round(x * across), round(y * down), round(width * across), round(height * down)
