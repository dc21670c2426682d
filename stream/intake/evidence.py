"""Which sampled frames may add evidence to the exam, and why the others may not."""

from collections.abc import Sequence

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.preprocess import to_grey
from neurosono.stream.intake.echo import has_echoes
from neurosono.stream.intake.flow_watch import FlowWatch
from neurosono.stream.intake.trace import has_trace
from neurosono.stream.pictures.flow import Box
from neurosono.stream.screen.aside import Aside

FROZEN_MEAN = 0.2
"""Mean difference, grey levels, under which a square is the one before. A still picture in H.264
stayed below 0.15; live pictures 1/25 s apart reached down to 0.2, as a rule 0.4 and more."""
FROZEN_LEVEL = 3
"""Grey levels by which all but `CHANGED_SHARE` of a still picture's pixels stay the same."""
DUPLICATE_MEAN = 0.3
"""The same as `FROZEN_MEAN` for the last frame used: a copy that was compressed once more."""
DUPLICATE_LEVEL = 4
"""The same as `FROZEN_LEVEL` for the last frame used."""
SAME_CONTENT_MEAN = 10.0
"""Mean difference, grey levels, under which a square shows the kind of thing that the one before,
or the last one looked at closely, did. Pictures of one sweep 1/3 s apart differ by 3 to 9 as a
rule; tissue, a menu, a trace and air differ from each other by 15 and more."""
SAME_CONTENT_FRAMES = 20
"""Frames until the closer look is taken again all the same: a slow fade to air adds few more."""
HELD_CONTENT_FRAMES = 60
"""The same while the square is alike to the very one last looked at, not only to the one before."""
MOVED_MEAN = 0.5
"""Mean difference, grey levels, from which the tissue moved between two squares."""
CHANGED_SHARE = 0.01
"""Of a square's pixels: as many may differ by more, where a cursor moved or a caliper was set."""


class EvidenceGate:
    """Judges an exam's sampled frames in order: no picture counts twice."""

    def __init__(self, *, realtime: bool = False) -> None:
        """`realtime` tells whether age counts, as in `Aside`."""
        self._clip: int | None = None
        self._before: Pixels | None = None
        self._used: Pixels | None = None
        self._tissue: Pixels | None = None
        self._since_look = 0
        self._flow = FlowWatch()
        self._aside: Aside[tuple[Pixels, SkipReason | None]] = Aside(realtime)

    def judge(
        self,
        pixels: Pixels,
        grey: Pixels,
        clip: int,
        bare: Pixels | None = None,
        text: Sequence[Box] = (),
    ) -> SkipReason | None:
        """Return why this frame adds no evidence, or None where it does.

        `pixels` is the region at full resolution, `(h, w)` grey or `(h, w, 3)` BGR, uint8; `grey`
        the network's square; `clip` the clip it came from. Where letters were blanked, `text` are
        their boxes `x, y, w, h` and `bare` is the region with none blanked: vessels may look like
        letters. What a frame shows is judged before whether it is new, so that held Doppler is
        still called Doppler.
        """
        before = self._before if clip == self._clip else None
        if before is None:
            self._flow.forget()
        self._clip, self._before = clip, grey
        moved = before is not None and not is_same(grey, before, MOVED_MEAN, 255)
        if self._flow.sees_flow(pixels if bare is None else bare, text, moved):
            return SkipReason.DOPPLER
        reason = self._judge_content(pixels, grey, before)
        if reason is not None:
            return reason
        if before is not None and is_same(grey, before, FROZEN_MEAN, FROZEN_LEVEL):
            return SkipReason.FROZEN
        if self._used is not None and is_same(grey, self._used, DUPLICATE_MEAN, DUPLICATE_LEVEL):
            return SkipReason.NEAR_DUPLICATE
        self._used = grey
        return None

    def _judge_content(
        self, pixels: Pixels, grey: Pixels, before: Pixels | None
    ) -> SkipReason | None:
        """Judge what is seen where the picture is another than before."""
        if (seen := self._aside.take()) is not None:
            self._tissue = seen[0] if seen[1] is None else None
        self._since_look += 1
        known = before is not None and self._tissue is not None
        held = _is_alike(self._tissue, grey)
        if not known or not (held or _is_alike(before, grey)):
            self._aside.drop()
            reason = _look_closely(pixels, grey)
            self._tissue, self._since_look = grey if reason is None else None, 0
            return reason
        if self._since_look >= (HELD_CONTENT_FRAMES if held else SAME_CONTENT_FRAMES):
            self._since_look = 0
            self._aside.begin(lambda: (grey, _look_closely(pixels, grey)))
        return None


def _look_closely(pixels: Pixels, grey: Pixels) -> SkipReason | None:
    levels = to_grey(pixels)
    if has_trace(levels):
        return SkipReason.SPECTRUM
    return None if has_echoes(levels, grey) else SkipReason.NOT_ULTRASOUND


def is_same(one: Pixels, other: Pixels, mean_level: float, level: int) -> bool:
    """Whether two squares are one picture within codec noise; squares of two sizes never are."""
    if one.shape != other.shape:
        return False
    if _mean_difference(one, other) > mean_level:
        return False
    difference = np.asarray(cv2.absdiff(one, other))
    return int(np.count_nonzero(difference > level)) <= CHANGED_SHARE * difference.size


def _is_alike(one: Pixels | None, other: Pixels) -> bool:
    return (
        one is not None
        and one.shape == other.shape
        and _mean_difference(one, other) < SAME_CONTENT_MEAN
    )


def _mean_difference(one: Pixels, other: Pixels) -> float:
    return cv2.norm(one, other, cv2.NORM_L1) / one.size
