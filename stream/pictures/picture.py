"""One decoded picture: what every source gives and the screen finder takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.frame import Scaled
from neurosono.stream.pictures.colour import drop_colour
from neurosono.stream.pictures.region import Region


class Chroma(Protocol):
    """What a picture is beside its luma, worked out only where somebody asks."""

    def is_neutral(self, region: Region | None) -> bool:
        """Whether `region`, or the whole picture, carries no colour that an eye sees."""

    def paint(self) -> Pixels:
        """Return the whole picture, `(H, W, 3)` BGR uint8."""

    def expand(self, luma: Pixels) -> Pixels:
        """Return levels of the luma, `(h, w)` uint8, at full range; black stays 0."""


UNSCALED = Scaled()
"""Nobody knows how large a pixel is."""


@dataclass(frozen=True)
class Picture:
    """A whole scanner screen, as decoded.

    `index` counts pictures over the whole exam, `clip` the clip (or still) it came from, both from
    0. `pts_s` is its time in the exam: strictly rising from 0 on, over all clips. `decoded` is
    `(H, W)` grey or `(H, W, 3)` BGR, uint8, upright; where `chroma` is given, it is the bare luma,
    and `chroma` knows the range of its levels, and the colours. `decode_ms` is what decoding it
    took. `scale` is what its file says of the size of its pixels.

    Live sources also say when it arrived (`received_ns`, on `time.monotonic_ns`), and whether it is
    `damaged`: it was decoded from data that were cut, or after such data and before the next whole
    picture, so that parts of it may be guessed by the decoder.
    """

    index: int
    clip: int
    pts_s: float
    decoded: Pixels
    decode_ms: float = 0.0
    received_ns: int | None = None
    damaged: bool = False
    chroma: Chroma | None = None
    scale: Scaled = UNSCALED

    @cached_property
    def pixels(self) -> Pixels:
        """`decoded` at full range: `(H, W)` grey or `(H, W, 3)` BGR; worked out when asked for."""
        return self.decoded if self.chroma is None else self.chroma.expand(self.decoded)

    def crop(self, region: Region) -> Pixels:
        """Copy a region out, 0 outside its outline: `(h, w)` grey, or `(h, w, 3)` if coloured."""
        if self.chroma is None:
            return drop_colour(region.crop(self.decoded))
        if self.chroma.is_neutral(region):
            return self.chroma.expand(region.crop(self.decoded))
        return drop_colour(region.crop(self.chroma.paint()))

    def whole(self) -> Pixels:
        """Return the whole screen, `(H, W)` grey or `(H, W, 3)` BGR."""
        if self.chroma is None or self.chroma.is_neutral(None):
            return self.pixels
        return self.chroma.paint()


@runtime_checkable
class Source(Protocol):
    """Where pictures come from."""

    @property
    def description(self) -> str:
        """What the source is, without any name that could point at a patient."""

    def pictures(self) -> Iterator[Picture]:
        """Decode in order; raises `SourceBrokenError` after the last readable picture."""


def shrink(pixels: Pixels, longest_px: int) -> Pixels:
    """Return `(H, W)` or `(H, W, 3)` with its longer side `longest_px`; what is smaller stays."""
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
