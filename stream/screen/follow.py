"""Cuts the ultrasound out of every screen, and notices when the scanner moves it.

Nothing outside the region passes: while the region is not known, the pixels are blanked.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.pictures.region import Region, full_region
from neurosono.stream.screen.aside import Aside
from neurosono.stream.screen.find import find_region, with_text
from neurosono.stream.screen.layout import LayoutCheck, is_same_place
from neurosono.stream.screen.letters import rest_letters

WARMUP_PICTURES = 8
"""Pictures from which the region is first found: a third of a second at 25 fps, in which a held
probe already fills some of what one picture leaves dark."""
SETTLED_PICTURES = 3
"""Looks in a row that must show the same region before a moved layout is believed."""
LONGEST_TRANSITION = 12
"""Pictures after which the latest region found is taken as it is: half a second at 25 fps."""
TEXT_EVERY = 25
"""Pictures between two looks for letters that have come to stand on the ultrasound."""
FIRST_LOOK = 25
"""Pictures until the first look at whether a region that was just found is all there is: a probe
that was being set down left some of it dark."""
LOOK_EVERY = 75
"""Pictures between two such looks later on."""
LOOK_AGAIN = 10
"""Pictures until the next look where the last one found another region, or none yet."""
SMALLER_LOOKS = 4
"""Looks in a row that must show the same smaller region: a second and a half at 25 fps, longer than
a probe is tilted off the skin as a rule."""


@dataclass(frozen=True, eq=False)
class Screened:
    """One picture with the ultrasound cut out of it.

    `pixels` is the region at full resolution, `(h, w)` grey, or `(h, w, 3)` BGR where it carries
    colour, 0 outside its outline; all 0 where `unsettled`: the layout just changed, or no
    ultrasound was ever found.
    `shown` is what may be displayed: the same pixels, or the whole screen where that was asked for.
    """

    picture: Picture
    region: Region
    pixels: Pixels
    unsettled: bool
    shown: Pixels


@dataclass(frozen=True, eq=False)
class _Look:
    """A look at one picture: the region `found` anew, and the known one, `kept` if it holds.

    `kept` has the letters that stand on it in this picture. A look that is not `whole` was for
    those letters alone.
    """

    picture: Picture
    found: Region | None
    kept: Region | None
    whole: bool = True


def _look(picture: Picture, region: Region, bare: Pixels, check: LayoutCheck) -> _Look:
    found = find_region([picture.pixels])
    return _Look(picture, found, with_text(region, bare) if check.holds(found) else None)


def _read(picture: Picture, region: Region, bare: Pixels) -> _Look:
    return _Look(picture, None, with_text(region, bare), whole=False)


def _lay_bare(picture: Picture, region: Region) -> Pixels:
    """Cut the region out, letters and all: on the thread that owns the picture's decoded frame."""
    return picture.crop(region.bare)


class Screen:
    """Follows one exam's screens, in order.

    Holds back the first `warmup` pictures of every clip, and after a change of size, until the
    region is known; after that one comes out for every one put in. A `user_region` is taken as it
    is, from the first picture on. Raises `InputError` for a `warmup` below 1.
    """

    def __init__(
        self,
        user_region: Region | None = None,
        warmup: int = WARMUP_PICTURES,
        show_screen: bool = False,
        *,
        realtime: bool = False,
    ) -> None:
        if warmup < 1:
            raise InputError(f"the warm-up needs at least one picture, found {warmup}")
        self._user_region = user_region
        self._warmup = warmup
        self._show_screen = show_screen
        self._realtime = realtime
        self._layout: tuple[int, tuple[int, ...]] | None = None
        self._waiting: list[Picture] | None = None
        self._region: Region | None = None
        self._check: LayoutCheck | None = None
        self._looks: list[tuple[Region, Pixels]] = []
        self._count = 0
        self._aside: Aside[_Look] = Aside(realtime)

    def push(self, picture: Picture) -> list[Screened]:
        """Take the next picture; return those whose region is now known, in order.

        Raises `InputError` where the user's region does not lie on the very first picture; later
        ones are cut to what of it lies on them, and blanked where nothing does.
        """
        if self._user_region is not None:
            return [self._cut(picture, self._clip_user_region(picture))]
        done: list[Screened] = []
        layout = (picture.clip, picture.decoded.shape[:2])
        if layout != self._layout:
            done = self.flush()
            self._layout, self._waiting = layout, []
        if self._waiting is None:
            return [*done, self._follow(picture)]
        self._waiting.append(picture)
        if len(self._waiting) >= self._warmup:
            done += self.flush()
        return done

    def flush(self) -> list[Screened]:
        """Return the pictures that are still held back: the source or the clip has ended."""
        waiting, self._waiting = self._waiting, None
        if not waiting:
            return []
        self._settle(find_region([picture.pixels for picture in waiting]), waiting[-1])
        return [self._cut(picture, self._region) for picture in waiting]

    def _clip_user_region(self, picture: Picture) -> Region | None:
        assert self._user_region is not None
        height, width = picture.decoded.shape[:2]
        first, self._layout = self._layout is None, (picture.clip, (height, width))
        try:
            clipped = self._user_region.clip(height, width)
            if first and clipped is not self._user_region:
                raise InputError(
                    f"the region reaches beyond the picture, which is {width} x {height} pixels: "
                    f"give {clipped.x},{clipped.y},{clipped.w},{clipped.h}, or another on it"
                )
            return clipped
        except InputError:
            if first:
                raise
            return None

    def _settle(self, region: Region | None, picture: Picture) -> None:
        """Take a region as the one that holds from this picture on, and read what stands on it."""
        self._region = self._check = None
        if region is not None:
            self._check = LayoutCheck(region, picture.decoded)
            self._region = with_text(region, _lay_bare(picture, region))
            if self._realtime:
                rest_letters()  # from here on they are looked for aside
        self._looks, self._count = [], 0
        self._aside.drop()

    def _follow(self, picture: Picture) -> Screened:
        """Cut one picture by the known region, or look for where it went."""
        self._count += 1
        if self._region is None or self._check is None:
            return self._search(picture)
        due = self._count % (LOOK_AGAIN if self._looks else LOOK_EVERY) == 0
        due = due or self._count == FIRST_LOOK
        if self._check.has_changed(picture.decoded):
            self._aside.drop()
            bare = _lay_bare(picture, self._region)
            look = _look(picture, self._region, bare, self._check)
            if look.kept is None:
                self._settle(None, picture)
                return self._search(picture)
            self._heed(look, due)
            return self._cut(picture, self._region)
        if due:
            bare = _lay_bare(picture, self._region)
            self._aside.begin(partial(_look, picture, self._region, bare, self._check))
        elif self._count % TEXT_EVERY == 0:
            bare = _lay_bare(picture, self._region)
            self._aside.begin(partial(_read, picture, self._region, bare))
        if (aside := self._aside.take()) is not None:
            self._heed(aside, aside.whole)
        return self._cut(picture, self._region)

    def _heed(self, look: "_Look", due: bool) -> None:
        """Learn from a look, be it of this picture or of one a little before."""
        if look.kept is not None and self._check is not None:
            self._region = look.kept
            if look.whole:
                self._check.learn(look.picture.decoded)
        if due:
            self._watch(look.found, look.picture)

    def _watch(self, found: Region | None, picture: Picture) -> None:
        """Take another region over once a few looks in a row, well apart, agree on it."""
        shape = picture.decoded.shape
        if found is None or self._region is None or is_same_place(found, self._region, shape):
            self._looks = []
        elif self._agree(found, picture) >= SMALLER_LOOKS:
            self._settle(found, picture)

    def _agree(self, found: Region, picture: Picture) -> int:
        """Add a look; return how many in a row have found this same place."""
        shape = picture.decoded.shape
        same = all(is_same_place(found, region, shape) for region, _ in self._looks)
        self._looks = [*(self._looks if same else []), (found, picture.pixels)]
        return len(self._looks)

    def _search(self, picture: Picture) -> Screened:
        """Look for the region until it holds still; nothing is shown meanwhile."""
        late = self._count > LONGEST_TRANSITION
        if late and self._count % LOOK_AGAIN:
            return self._cut(picture, None)
        found = find_region([picture.pixels])
        if found is None:
            self._looks = []
            return self._cut(picture, None)
        if self._agree(found, picture) >= SETTLED_PICTURES or late:
            found = find_region([pixels for _, pixels in self._looks]) or found
            self._settle(found, picture)
            return self._cut(picture, self._region)
        return self._cut(picture, None)

    def _cut(self, picture: Picture, region: Region | None) -> Screened:
        if region is None:
            cut = full_region(*picture.decoded.shape[:2])
            pixels = np.zeros_like(picture.decoded)
        else:
            cut, pixels = region, picture.crop(region)
        shown = picture.whole() if self._show_screen else pixels
        return Screened(picture, cut, pixels, region is None, shown)
