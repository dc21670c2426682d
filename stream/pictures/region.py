"""The part of a scanner's screen that is ultrasound, and how to cut it out of a picture."""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError

KINDS = ("sector", "linear", "full", "user")


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of the screen and, within it, the outline of what is ultrasound.

    `x, y, w, h` are whole pixels of the screen, `w` and `h` at least 1. `kind` is one of `KINDS`:
    how the region was found. `hull` is an `(N, 2)` int32 polygon of `x, y` relative to the
    rectangle's corner, or None where the whole rectangle is ultrasound. `text` are the boxes
    `x, y, w, h`, relative too, of letters that stand on the ultrasound. Raises `InputError` on
    anything else.
    """

    x: int
    y: int
    w: int
    h: int
    kind: str
    hull: NDArray[np.int32] | None = None
    text: tuple[tuple[int, int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.w < 1 or self.h < 1:
            raise InputError(
                f"a region needs x and y of at least 0 and a width and height of at least 1, "
                f"found {self.x},{self.y},{self.w},{self.h}"
            )
        if self.kind not in KINDS:
            raise InputError(f"a region is one of {', '.join(KINDS)}, found {self.kind!r}")
        hull = self.hull
        if hull is not None and (hull.ndim != 2 or hull.shape[1] != 2 or len(hull) < 3):
            raise InputError(f"a hull is (N, 2) with N of at least 3, found {hull.shape}")

    @cached_property
    def mask(self) -> Pixels:
        """The ultrasound within the rectangle, `(h, w)` uint8: 255 inside, 0 outside."""
        mask = np.full((self.h, self.w), 255, dtype=np.uint8)
        if self.hull is not None:
            mask[:] = 0
            cv2.fillPoly(mask, [self.hull.astype(np.int32)], 255)
        for x, y, w, h in self.text:
            mask[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)] = 0
        return mask

    @property
    def bare(self) -> "Region":
        """The same region, with the letters that stand on it laid open."""
        return self._laid_open if self.text else self  # kept in itself it would never be let go

    @cached_property
    def _laid_open(self) -> "Region":
        return replace(self, text=())

    @cached_property
    def _chroma_masks(self) -> dict[tuple[int, int], Pixels]:
        return {}

    def chroma_mask(self, across: int, down: int) -> Pixels:
        """Return `mask` at a chroma plane's scale, from the plane's row `y // down` on.

        `across` and `down` are screen pixels a chroma sample, 1 or 2.
        """
        if (across, down) not in self._chroma_masks:
            padded = cv2.copyMakeBorder(
                self.mask, self.y % down, 0, self.x % across, 0, cv2.BORDER_CONSTANT, value=0
            )
            few = np.ascontiguousarray(padded[::down, ::across])
            self._chroma_masks[across, down] = few
        return self._chroma_masks[across, down]

    def fits(self, height_px: int, width_px: int) -> bool:
        """Whether the whole rectangle lies on a screen of this size."""
        return self.x + self.w <= width_px and self.y + self.h <= height_px

    def clip(self, height_px: int, width_px: int) -> "Region":
        """Return what of the region lies on a screen of this size.

        Raises `InputError` where nothing of it does.
        """
        if self.fits(height_px, width_px):
            return self
        if self.x >= width_px or self.y >= height_px:
            raise InputError(
                f"the region {self.x},{self.y},{self.w},{self.h} lies outside the picture, which "
                f"is {width_px} x {height_px} pixels: give one that lies on it"
            )
        w, h = min(self.w, width_px - self.x), min(self.h, height_px - self.y)
        return Region(self.x, self.y, w, h, self.kind, self.hull, self.text)

    def crop(self, pixels: Pixels) -> Pixels:
        """Copy the region out of a screen, 0 outside the outline.

        `pixels` is `(H, W)` grey or `(H, W, 3)` BGR, uint8; returns `(h, w)` or `(h, w, 3)`, less
        where the picture is smaller than the region. Raises `InputError` where nothing is left.
        """
        here = self.clip(pixels.shape[0], pixels.shape[1])
        part = pixels[here.y : here.y + here.h, here.x : here.x + here.w]
        if here.hull is None and not here.text:
            return part.copy()
        return np.asarray(cv2.copyTo(part, here.mask), dtype=np.uint8)

    def screen_mask(self, height_px: int, width_px: int) -> Pixels:
        """Return the region on a whole screen of this size: `(H, W)` uint8, 255 inside."""
        whole = np.zeros((height_px, width_px), dtype=np.uint8)
        here = self.clip(height_px, width_px)
        whole[here.y : here.y + here.h, here.x : here.x + here.w] = here.mask
        return whole


def full_region(
    height_px: int, width_px: int, text: tuple[tuple[int, int, int, int], ...] = ()
) -> Region:
    """Return the region that is the whole picture, but for the letters on it."""
    return Region(0, 0, width_px, height_px, "full", None, text)


def parse_region(text: str) -> Region:
    """Read `x,y,w,h` as the user gives it; raises `InputError` with what is wrong."""
    parts = text.split(",")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise InputError(
            f"--region {text!r} cannot be read: expected four whole numbers x,y,w,h in pixels, "
            f"such as 120,40,640,480"
        )
    x, y, w, h = numbers
    if x < 0 or y < 0 or w < 1 or h < 1:
        raise InputError(
            f"--region {text!r} is no rectangle: x and y must be at least 0, "
            f"width and height at least 1"
        )
    return Region(x, y, w, h, "user")
