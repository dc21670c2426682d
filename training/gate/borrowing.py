"""Another picture's look: its grey levels, its sharpness and glow, without its anatomy.

What one scanner's pictures have in common must tell heads from others no better than chance: a view
is shown now and then as another picture's scanner, whatever that shows, would have drawn it.
"""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.training.gate.augmentation import LIT_LEVEL

LOOK_SHARE = (0.02, 0.12)
"""Of the spectrum, from its middle: what is borrowed of it. Anatomy lies in the phases."""


def borrow_greys(view: Pixels, other: Pixels) -> Pixels:
    """Return the view (S, S) with grey levels distributed as in the lit part of `other`."""
    table = np.interp(_rank(view), _rank(other), np.arange(256))
    return np.asarray(cv2.LUT(view, np.rint(table).astype(np.uint8)), dtype=np.uint8)


def borrow_spectrum(view: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the view with a share of the coarse amplitudes of `other`, and its own phases.

    Yang and Soatto 2020 (arXiv 2004.05498); mixed by chance, as Xu et al. 2021 (arXiv 2105.11120).
    """
    side = view.shape[0]
    own, theirs = (np.fft.rfft2(each.astype(np.float32)) for each in (view, other))
    reach = max(1, int(side * rng.uniform(*LOOK_SHARE)))
    amplitude, borrowed = np.abs(own), np.abs(theirs)
    part = rng.uniform(0, 1)
    for rows in (slice(0, reach), slice(-reach, None)):
        spot = (rows, slice(0, reach))
        amplitude[spot] = (1 - part) * amplitude[spot] + part * borrowed[spot]
    drawn = np.fft.irfft2(amplitude * np.exp(1j * np.angle(own)), (side, side))
    return np.asarray(np.clip(drawn, 0, 255), dtype=np.uint8)


def _rank(square: Pixels) -> Floats:
    """Return of each grey level which share of what is lit lies at or under it; it rises."""
    counts = np.bincount(square.reshape(-1), minlength=256).astype(np.float64)
    counts[:LIT_LEVEL] = 0
    shares = np.cumsum(counts + 1e-3)
    return np.asarray(shares / shares[-1])
