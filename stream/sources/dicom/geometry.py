"""What a DICOM header says of the size of pixels, and of where ultrasound lies in the picture."""

import math
from fractions import Fraction
from typing import Any

from pydicom.dataset import Dataset

from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.structures.biometry import MM_PER_PX_RANGE
from neurosono.stream.sources.clip import Region
from neurosono.stream.sources.dicom.beside import Beside, is_picture

SPACING_TAGS = ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"]
GEOMETRY_TAGS = ["SequenceOfUltrasoundRegions", "PixelAspectRatio", *SPACING_TAGS]
"""DICOM PS3.3, C.8.5.5, C.7.6.3.1.7 and 10.7."""

SQUARE_WITHIN = 0.02
"""Sides of a pixel, and pixels of several regions, that differ by less are taken for the same."""
_CENTIMETRES = 3
"""PhysicalUnitsXDirection (DICOM PS3.3, C.8.5.5.1)."""


def find_aspect(dataset: Dataset) -> Fraction | None:
    """Return how wide a pixel is for its height: as stated, by its spacing, or by its regions.

    PixelAspectRatio and the spacings give the vertical value first (DICOM PS3.3, 10.7.1.3).
    """
    for keyword in ("PixelAspectRatio", *SPACING_TAGS):
        numbers = read_numbers(dataset, keyword)
        if len(numbers) == 2 and min(numbers) > 0:
            return Fraction(numbers[1]) / Fraction(numbers[0])
    found: set[Fraction] = set()
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        if not is_picture(item):
            continue
        units = {item.get(f"PhysicalUnits{axis}Direction") for axis in "XY"}
        deltas = [abs(float(item.get(f"PhysicalDelta{axis}") or 0)) for axis in "XY"]
        if units == {_CENTIMETRES} and min(deltas) > 0:
            found.add(Fraction(deltas[0]).limit_denominator(10**9) / Fraction(deltas[1]))
    aspects = sorted(found)
    if aspects and aspects[-1] <= aspects[0] * Fraction(101, 100):
        return aspects[0]
    return None  # regions of different shape: no one size of the picture is right for all


def find_regions(dataset: Dataset) -> list[tuple[Region, Dataset]]:
    """Return the regions that are whole and inside the picture, each with its item."""
    items = dataset.get("SequenceOfUltrasoundRegions") or []
    located = [(_locate(item, dataset), item) for item in items]
    return [(region, item) for region, item in located if region is not None]


def _locate(item: Dataset, dataset: Dataset) -> Region | None:
    """Return where an item's region is, whose corners are inclusive."""
    corners = [
        item.get(f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")
    ]
    if None in corners:
        return None
    left, top, right, bottom = (int(corner) for corner in corners)
    right, bottom = min(right, int(dataset.Columns) - 1), min(bottom, int(dataset.Rows) - 1)
    if not (0 <= left < right and 0 <= top < bottom):
        return None
    return left, top, right - left + 1, bottom - top + 1


def find_scale(dataset: Dataset, beside: Beside) -> Scaled:
    """Return how large a pixel is: by the ultrasound regions, or else by PixelSpacing.

    Not guessed: regions of other units (M-mode, spectra) say nothing, nor does what lies `beside`
    the picture, and where the others disagree, or a pixel is not square, nothing is known.
    """
    sides: list[float] = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        units = [item.get(f"PhysicalUnits{axis}Direction") for axis in "XY"]
        judged = is_picture(item) and _locate(item, dataset) not in beside.regions
        if judged and units == [_CENTIMETRES] * 2:
            for axis in "XY":
                sides += [abs(10 * step) for step in read_numbers(item, f"PhysicalDelta{axis}")]
    sides = sides or [abs(step) for step in read_numbers(dataset, "PixelSpacing")]
    least, most = min(sides, default=0.0), max(sides, default=0.0)
    lowest, highest = MM_PER_PX_RANGE
    known = len(sides) > 1 and lowest <= least and most <= highest
    if not known or most > least * (1 + SQUARE_WITHIN):
        return Scaled()
    mean = (least + most) / 2
    return Scaled(mm_per_px=mean, mm_per_px_from=ScaleSource.DICOM)


def read_numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return the finite numbers of an element; empty where it is not there."""
    value: Any = dataset.get(keyword)
    values = [] if value in (None, "") else value if hasattr(value, "__iter__") else [value]
    numbers = [float(number) for number in values]
    return [number for number in numbers if math.isfinite(number)]
