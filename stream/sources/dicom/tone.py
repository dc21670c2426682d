"""From the samples of a DICOM picture to 8-bit grey or BGR, by one table made once a file."""

import contextlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.sources.dicom.header import READ_FAILURES

_WIDEST_BITS = 16


@dataclass(frozen=True)
class Toner:
    """Turns decoded samples into pixels.

    `table` is `(2 ** bits,)` grey or `(2 ** bits, 3)` BGR, uint8, for samples from `lowest` on;
    None where samples are colours, or greys that are right as they are. `shift` brings colours of
    more than 8 bits down to 8.
    """

    table: Pixels | None
    lowest: int
    shift: int

    def tone(self, samples: NDArray[Any], photometric: str) -> Pixels:
        """Return `(H, W)` grey or `(H, W, 3)` BGR, uint8, for `(H, W)` or `(H, W, 3)` samples."""
        if self.table is not None:
            indices = samples.astype(np.int32) - self.lowest
            return np.take(self.table, indices, axis=0, mode="clip")
        if samples.ndim == 2:
            return samples.astype(np.uint8, copy=False)
        eight_bit = (samples >> self.shift).astype(np.uint8) if self.shift else samples
        if photometric.startswith("YBR_FULL"):
            # OpenCV wants Y, Cr, Cb; DICOM PS3.3 C.7.6.3.1.2 has Y, Cb, Cr and the same full range.
            return np.asarray(
                cv2.cvtColor(np.ascontiguousarray(eight_bit[..., [0, 2, 1]]), cv2.COLOR_YCrCb2BGR),
                dtype=np.uint8,
            )
        if photometric != "RGB":
            raise ValueError(f"its colours are {photometric}, which is not supported")
        return np.ascontiguousarray(eight_bit[..., ::-1])


def align_samples(samples: NDArray[Any], image: Dataset, *, compressed: bool) -> NDArray[Any]:
    """Return the stored bits of each sample alone, at the lowest place (DICOM PS3.5, 8.1.1).

    They may lie higher, as HighBit says, and old files keep overlays in the bits above. A codec
    as a rule gives them at the lowest place already: then its samples stay as they are.
    """
    bits, allocated = int(image.BitsStored), int(image.BitsAllocated)
    shift = max(0, int(image.get("HighBit", bits - 1)) + 1 - bits)
    whole = samples.dtype.kind not in "iu" or allocated not in (8, 16) or not 0 < bits <= allocated
    if whole or (shift == 0 and bits == allocated):
        return samples
    signed = int(image.get("PixelRepresentation") or 0) == 1
    lowest, highest = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if (compressed or not shift) and lowest <= samples.min() and samples.max() < highest:
        return samples
    stored = (samples.astype(np.int32) >> shift) & ((1 << bits) - 1)
    if signed:
        stored = (stored ^ (1 << bits - 1)) - (1 << bits - 1)
    return stored.astype(samples.dtype)


def make_toner(image: Dataset, first: NDArray[Any]) -> Toner:
    """Make the toner of a file from its header and the samples of its first picture.

    Greys go through the modality table, then through the first window or VOI table, or if there is
    none, and there are more than 8 bits, from the range of the first picture to 0..255; one range
    for the whole clip, so that the brightness does not flicker. Raises `ValueError` if the samples
    are not whole numbers of at most 16 bits.
    """
    bits = int(image.BitsStored)
    if first.dtype.kind not in "iu" or not 1 < bits <= _WIDEST_BITS:
        raise ValueError(f"its samples are {first.dtype} of {bits} bits, not of 8 to 16")
    signed = int(image.get("PixelRepresentation") or 0) == 1
    lowest = -(1 << (bits - 1)) if signed else 0
    photometric = str(image.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        return Toner(_make_palette(image, bits), lowest=0, shift=0)
    if first.ndim == 3:
        return Toner(None, lowest=0, shift=max(bits - 8, 0))
    if not photometric.startswith("MONOCHROME"):
        raise ValueError(f"its greys are {photometric}, which is not supported")
    table = _make_greys(image, first, lowest, bits)
    if photometric == "MONOCHROME1":
        table = 255 - table
    plain = lowest == 0 and bits == 8 and np.array_equal(table, np.arange(256))
    return Toner(None if plain else table, lowest=lowest, shift=0)


def _make_palette(image: Dataset, bits: int) -> Pixels:
    colours = np.asarray(apply_color_lut(np.arange(1 << bits, dtype=np.uint16), image))
    if colours.max() > 255:  # some writers declare 16 bits and fill 8 of them
        colours = colours >> 8
    return np.ascontiguousarray(colours[..., ::-1].astype(np.uint8))


def _make_greys(image: Dataset, first: NDArray[Any], lowest: int, bits: int) -> Pixels:
    stored = np.arange(lowest, lowest + (1 << bits)).astype(np.int16 if lowest else np.uint16)
    values = np.asarray(apply_modality_lut(stored, image))
    windowed = None
    if "WindowWidth" in image or "VOILUTSequence" in image:
        with contextlib.suppress(*READ_FAILURES):  # a window that makes no sense is no window
            windowed = np.asarray(apply_voi_lut(values, image))
    if windowed is not None and windowed.max() > windowed.min():
        return _stretch(windowed, float(windowed.min()), float(windowed.max()))
    if bits == 8 and np.array_equal(values, stored) and lowest == 0:
        return stored.astype(np.uint8)
    seen = values[np.clip(first.astype(np.int32) - lowest, 0, len(values) - 1)]
    darkest, brightest = float(seen.min()), float(seen.max())
    if darkest == brightest:  # a blank first picture says nothing about the others
        darkest, brightest = float(values.min()), float(values.max())
    return _stretch(values, darkest, brightest)


def _stretch(values: NDArray[Any], darkest: float, brightest: float) -> Pixels:
    span = max(brightest - darkest, 1e-9)
    return np.clip(np.rint((values - darkest) * (255 / span)), 0, 255).astype(np.uint8)
