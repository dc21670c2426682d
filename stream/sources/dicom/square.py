"""The regions of a DICOM file in its pictures as they are shown, with square pixels."""

from neurosono.stream.sources.clip import Region
from neurosono.stream.sources.dicom.header import DicomHeader
from neurosono.stream.sources.files.upright import square_size


def square_regions(header: DicomHeader) -> tuple[Region, ...]:
    """Return where the file says that ultrasound is, in pixels of the pictures that are shown."""
    rows, columns = int(header.image.Rows), int(header.image.Columns)
    width_px, height_px = square_size(columns, rows, header.aspect)
    if (width_px, height_px) == (columns, rows):
        return header.us_regions
    across, down = width_px / columns, height_px / rows
    return tuple(
        (round(x * across), round(y * down), round(w * across), round(h * down))
        for x, y, w, h in header.us_regions
    )
