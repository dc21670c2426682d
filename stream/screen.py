"""Cuts the ultrasound out of every screen, and notices when the scanner moves it.

Nothing outside the region passes: while the region is not known, the pixels are blanked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.contracts.errors import InputError
from stream.find import find_region
from stream.layout import LayoutCheck
from stream.picture import Picture
from stream.region import Region, full_region

WARMUP_PICTURES = 8
"""Pictures from which the region is first found: a third of a second at 25 fps, in which a held
probe already fills most of what one picture leaves dark."""
SETTLED_PICTURES = 3
"""Pictures in a row that must show the same region before a moved layout is believed."""
LONGEST_TRANSITION = 12
"""Pictures after which the latest region found is taken as it is: half a second at 25 fps."""
RETRY_EVERY = 5
"""Pictures between two looks at a screen on which nothing was found."""


@dataclass(frozen=True, eq=False)
class Screened:
    """One picture with the ultrasound cut out of it.

    `pixels` is the region at full resolution, `(h, w)` grey or `(h, w, 3)` BGR, 0 outside its
    outline; all 0 where `unsettled`: the layout just changed, or no ultrasound was ever found.
    `shown` is what may be displayed: the same pixels, or the whole screen where that was asked for.
    """

    picture: Picture
    region: Region
    pixels: NDArray[np.uint8]
    unsettled: bool
    shown: NDArray[np.uint8]


class Screen:
    """Follows one exam's screens, in order.

    Holds back the first `warmup` pictures of every clip until the region is known; after that one
    comes out for every one put in. A `user_region` is taken as it is, from the first picture on.
    """

    def __init__(
        self,
        user_region: Region | None = None,
        warmup: int = WARMUP_PICTURES,
        show_screen: bool = False,
    ) -> None:
        if warmup < 1:
            raise InputError(f"the warm-up needs at least one picture, found {warmup}")
        self._user_region = user_region
        self._warmup = warmup
        self._show_screen = show_screen
        self._waiting: list[Picture] = []
        self._layout: tuple[int, tuple[int, ...]] | None = None
        self._region: Region | None = None
        self._check: LayoutCheck | None = None
        self._candidates: list[Region] = []
        self._unsettled_count = 0

    def push(self, picture: Picture) -> list[Screened]:
        """Take the next picture; return those whose region is now known, in order.

        Raises `InputError` where the user's region lies outside the picture.
        """
        if self._user_region is not None:
            return [self._cut(picture, self._user_region.clip(*picture.pixels.shape[:2]))]
        done: list[Screened] = []
        layout = (picture.clip, picture.pixels.shape[:2])
        if layout != self._layout:
            done = self.flush()
            self._layout = layout
            self._settle(None, picture)
        if self._region is None and self._unsettled_count == 0:
            self._waiting.append(picture)
            if len(self._waiting) >= self._warmup:
                done += self.flush()
            return done
        return [*done, self._follow(picture)]

    def flush(self) -> list[Screened]:
        """Return the pictures that are still held back: the source or the clip has ended."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        region = find_region([picture.pixels for picture in waiting])
        self._settle(region, waiting[-1])
        self._unsettled_count = 1 if region is None else 0
        return [self._cut(picture, region) for picture in waiting]

    def _settle(self, region: Region | None, picture: Picture) -> None:
        """Take a region as the one that holds from this picture on."""
        self._region = region
        self._check = None if region is None else LayoutCheck(region, picture.pixels)
        self._candidates = []
        self._unsettled_count = 0

    def _follow(self, picture: Picture) -> Screened:
        """Cut one picture by the known region, or look for where it went."""
        if self._region is not None and self._check is not None:
            if not self._check.has_changed(picture.pixels):
                return self._cut(picture, self._region)
            found = find_region([picture.pixels])
            if self._check.is_same(found, picture.pixels):
                return self._cut(picture, self._region)
            self._region = None
        return self._search(picture)

    def _search(self, picture: Picture) -> Screened:
        """Look for the region until it holds still; nothing is shown meanwhile."""
        self._unsettled_count += 1
        count = self._unsettled_count
        if count > LONGEST_TRANSITION and count % RETRY_EVERY:
            return self._cut(picture, None)
        found = find_region([picture.pixels])
        if found is None:
            self._candidates = []
            return self._cut(picture, None)
        shape = picture.pixels.shape[:2]
        same = [overlap(found, other, shape) > 0.9 for other in self._candidates]
        self._candidates = [*self._candidates, found] if all(same) else [found]
        if len(self._candidates) >= SETTLED_PICTURES or count > LONGEST_TRANSITION:
            self._settle(found, picture)
            return self._cut(picture, found)
        return self._cut(picture, None)

    def _cut(self, picture: Picture, region: Region | None) -> Screened:
        if region is None:
            whole = full_region(*picture.pixels.shape[:2])
            pixels = np.zeros_like(picture.pixels)
            shown = picture.pixels if self._show_screen else pixels
            return Screened(picture, whole, pixels, True, shown)
        pixels = region.crop(picture.pixels)
        shown = picture.pixels if self._show_screen else pixels
        return Screened(picture, region, pixels, False, shown)


def overlap(one: Region, other: Region, shape: tuple[int, ...]) -> float:
    """Return the intersection over the union of two regions of one screen, 0 to 1."""
    a = one.screen_mask(shape[0], shape[1]) > 0
    b = other.screen_mask(shape[0], shape[1]) > 0
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 0.0
