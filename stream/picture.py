"""One decoded picture: what every source gives and the screen finder takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """A whole scanner screen, as decoded.

    `index` counts pictures over the whole exam, `clip` the clip (or still) it came from, both from
    0. `pts_s` is its time in the exam: strictly rising from 0 on, over all clips. `pixels` is
    `(H, W)` grey or `(H, W, 3)` BGR, uint8, upright. `decode_ms` is what decoding it took.
    """

    index: int
    clip: int
    pts_s: float
    pixels: NDArray[np.uint8]
    decode_ms: float = 0.0


class Source(Protocol):
    """Where pictures come from."""

    @property
    def description(self) -> str:
        """What the source is, without any name that could point at a patient."""

    def pictures(self) -> Iterator[Picture]:
        """Decode in order; raises `SourceBrokenError` after the last readable picture."""
