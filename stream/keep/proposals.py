"""Frames that are offered for keeping by themselves: nobody has a hand free while scanning.

Every rule waits before it speaks: a frame is only offered once nothing better came for a while, so
that a sweep does not fill the list, and each rule has so many offers an exam. What is offered is
`proposed` until a person accepts or rejects it.
"""

import math
from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import Result
from neurosono.stream.keep.glance import Glance, glance_at, view_distance
from neurosono.stream.keep.highlights import measure_evidence
from neurosono.stream.view.planes import STANDARD

NS_A_S = 1_000_000_000

DWELL_S = 3.0
"""A frame is the best when none better came for so long: about one sweep through a structure."""
LOOK_EVERY_S = 0.2
"""How often a picture is looked at where no heatmaps are made: as often as they are by default."""
APART_S = 1.0
"""A view or a good picture is offered only so far from any other: neighbours show one thing."""

MIN_EVIDENCE = 0.1
"""What a frame adds to its class over the exam's own probability, at least, to be worth a look."""
EVIDENCE_STEP = 0.1
"""How much stronger the next offer for the same class must be."""
QUALITY_STEP = 1.1
"""How many times better the next best picture must be."""

HELD_S = 0.8
"""A view is held still for so long before it is offered: a sweep passes in less."""
SAME_VIEW, OTHER_VIEW = 0.3, 0.5
"""`view_distance` up to which a view counts as held, and from which it is another than those kept.
Measured on phantoms, lung, heart and eye-phantom clips: 0.2 s apart half of all pairs differ by
0.05 to 0.14, more than 3 s apart by 0.44 to 0.80; with both, 2 to 5 views a clip were offered."""

FREEZE_S = 0.4
"""A still picture for so long is the sonographer's freeze, not a hiccup of the video."""
THAW_S = 1.0
"""A freeze that ended less than this ago goes on: a caliper that moves is no new picture."""
STILL_TOO = (SkipReason.NEAR_DUPLICATE, SkipReason.SUPERSEDED, SkipReason.ENGINE_OFF)
"""What may stand between still pictures: it does not tell whether the picture moved."""
SAME_FREEZE = 0.02
"""`view_distance` under which a picture frozen again is the one frozen before."""

END_NS = 2**62
"""Later than any picture."""

CAPS = {"freeze": 12, "plane": 8, "evidence": 10, "quality": 3}
"""Offers an exam; together fewer than the page lists."""
PER_CLASS = 2


@dataclass(frozen=True, eq=False)
class Proposal:
    """A frame offered for keeping.

    `reason` is of `stream.journal.words.KEEP_REASONS`; `label` what it shows by the engine, None
    for a frozen picture, which no engine judged; `pixels` its region at full resolution; `heatmap`
    that very frame's, `(h, w)` in 0 to 1, where one was made.
    """

    reason: str
    seq: int
    captured_ns: int
    pts_s: float
    label: str | None
    pixels: Pixels
    heatmap: Singles | None


class Best:
    """Follows the highest score, and gives it out once it has stood for `DWELL_S`."""

    def __init__(self, floor: float) -> None:
        """Nothing below `floor` is followed."""
        self.floor = floor
        self._standing: tuple[float, Proposal] | None = None

    def offer(self, score: float, proposal: Proposal) -> None:
        """Follow this one if it is better than what stands."""
        if score >= self.floor and (self._standing is None or score > self._standing[0]):
            self._standing = score, proposal

    def take(self, now_ns: int) -> tuple[float, Proposal] | None:
        """Return what has stood long enough, once."""
        standing = self._standing
        if standing is None or now_ns - standing[1].captured_ns < DWELL_S * NS_A_S:
            return None
        self._standing = None
        return standing


class Views:
    """Notices a view that is held still and that is another than all before."""

    def __init__(self) -> None:
        self._known: list[Glance] = []
        self._held: Glance | None = None
        self._since_ns = 0

    def see(self, glance: Glance, now_ns: int) -> bool:
        """Take the next look; returns whether it is a new view, held long enough."""
        if self._held is None or view_distance(glance, self._held) > SAME_VIEW:
            self._held, self._since_ns = glance, now_ns
            return False
        held = now_ns - self._since_ns >= HELD_S * NS_A_S
        if not held or any(view_distance(glance, known) < OTHER_VIEW for known in self._known):
            return False
        self._known.append(glance)
        return True


class Freezes:
    """Notices from the video itself that the sonographer froze the picture.

    Any picture that is judged ends a still run: a feed that sends each picture twice is not frozen.
    """

    def __init__(self) -> None:
        self._begun_ns: int | None = None
        self._last_ns: int | None = None
        self._offered = False
        self._before: Glance | None = None

    def see(self, result: Result, pixels: Pixels | None) -> bool:
        """Take the next result; returns whether its picture is one just frozen."""
        now_ns = result.captured_ns
        if result.skip_reason is not SkipReason.FROZEN:
            if result.skip_reason not in STILL_TOO:
                self._begun_ns = None
            return False
        if self._begun_ns is None:
            self._begun_ns = now_ns
        if pixels is None or _is_within(now_ns, self._begun_ns, FREEZE_S):
            return False
        if not _is_within(now_ns, self._last_ns, THAW_S):
            self._offered = False
        self._last_ns = now_ns
        return not self._offered and self._is_new(glance_at(pixels))

    def _is_new(self, glance: Glance) -> bool:
        self._offered, before, self._before = True, self._before, glance
        return before is None or view_distance(glance, before) >= SAME_FREEZE


class Proposals:
    """Offers frames of one exam.

    Of an exam with heatmaps only frames that have one are offered (but for a freeze), so that what
    is kept shows where the network looked. Times are those of capture, on the monotonic clock: the
    exam's own begin anew with another capture process.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._evidence = {label: Best(MIN_EVIDENCE) for label in labels}
        self._quality = Best(0.0)
        self._views, self._freezes = Views(), Freezes()
        self._planes = {plane: Best(0.0) for plane in STANDARD}
        self._left = dict(CAPS)
        self._left_of_class = dict.fromkeys(labels, PER_CLASS)
        self._looked_ns: int | None = None
        self._heatmap_ns: int | None = None
        self._offered_ns: list[int] = []

    def offer(self, result: Result, pixels: Pixels | None) -> list[Proposal]:
        """Take the next result with its region, where that is known; return what to keep."""
        found = []
        if self._freezes.see(result, pixels) and pixels is not None:
            found.append(_propose("freeze", result, pixels, None))
        if result.probabilities is not None and pixels is not None and self._is_due(result):
            found += self._look(result, pixels, int(np.argmax(result.probabilities)))
        found += self._take_standing(result.captured_ns)
        return [proposal for proposal in found if self._allow(proposal)]

    def finish(self) -> list[Proposal]:
        """Return what stands at the end of a recording: nothing better can come any more."""
        return [each for each in self._take_standing(END_NS) if self._allow(each)]

    def _is_due(self, result: Result) -> bool:
        """Whether to look at this frame: at each with a heatmap, or now and then without any."""
        now_ns = result.captured_ns
        if result.cam is not None:
            self._heatmap_ns = self._looked_ns = now_ns
            return True
        if _is_within(now_ns, self._heatmap_ns, APART_S) or _is_within(
            now_ns, self._looked_ns, LOOK_EVERY_S
        ):
            return False
        self._looked_ns = now_ns
        return True

    def _look(self, result: Result, pixels: Pixels, leading: int) -> list[Proposal]:
        label, glance = self._labels[leading], glance_at(pixels)
        _, evidence = measure_evidence(result)
        self._evidence[label].offer(evidence, _propose("evidence", result, pixels, label))
        self._quality.offer(glance.quality, _propose("quality", result, pixels, label))
        plane = _propose("plane", result, pixels, label)
        if result.plane in self._planes:
            self._planes[result.plane].offer(glance.quality, plane)
        elif result.plane is None and self._views.see(glance, result.captured_ns):
            return [plane]  # no gate names planes here: what is held still counts as one
        return []

    def _take_standing(self, now_ns: int) -> list[Proposal]:
        found = []
        for best in self._evidence.values():
            if (taken := best.take(now_ns)) is not None:
                best.floor = taken[0] + EVIDENCE_STEP
                found.append(taken[1])
        for best in self._planes.values():
            if (taken := best.take(now_ns)) is not None:
                best.floor = math.inf  # each plane once
                found.append(taken[1])
        if (taken := self._quality.take(now_ns)) is not None:
            self._quality.floor = taken[0] * QUALITY_STEP
            found.append(taken[1])
        return found

    def _allow(self, proposal: Proposal) -> bool:
        """Count an offer, if there is one left and it says more than what was offered already."""
        at_ns, reason, label = proposal.captured_ns, proposal.reason, proposal.label
        apart_s = APART_S if reason in ("plane", "quality") else 0.0
        near = any(_is_within(at_ns, each, apart_s) for each in self._offered_ns)
        if self._left[reason] < 1 or near or at_ns in self._offered_ns:
            return False
        if reason == "evidence" and label is not None:
            if self._left_of_class[label] < 1:
                return False
            self._left_of_class[label] -= 1
        self._left[reason] -= 1
        self._offered_ns.append(at_ns)
        return True


def _is_within(now_ns: int, then_ns: int | None, seconds: float) -> bool:
    return then_ns is not None and abs(now_ns - then_ns) < seconds * NS_A_S


def _propose(reason: str, result: Result, pixels: Pixels, label: str | None) -> Proposal:
    heatmap = None
    if result.cam is not None and result.probabilities is not None:
        heatmap = result.cam[int(np.argmax(result.probabilities))]
    said = (reason, result.seq, result.captured_ns, result.pts_s, label)
    return Proposal(*said, pixels=pixels, heatmap=heatmap)
