"""What regions add up to over an exam: one verdict on the best frame of each of the two planes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.exam.counted import Counted
from neurosono.engine.regions.names import ABNORMAL, NORMAL, PLANES, REGIONS, regions_of
from neurosono.engine.structures.weeks import CARD_KEY, WeeksSeen


class RegionsState(StrEnum):
    """How far the verdict has come."""

    WAITING = "waiting"
    """A plane has not been seen: nothing is said, least of all that all is normal."""
    UNFAMILIAR = "unfamiliar"
    """Most pictures of a plane are unlike those that the network learnt from."""
    ABSTAINS = "abstains"
    """The fetus is not of the weeks that were learnt from, or nobody knows."""
    JUDGED = "judged"


@dataclass
class PlaneSeen:
    """The frames of one plane: how many, how many unfamiliar, and the best of the others."""

    frames: int = 0
    unfamiliar: int = 0
    goodness: float = 0.0
    best: dict[str, Any] | None = None
    """`seq`, `pts_s`, and `regions`: of each its `contribution` and whether it was `found`."""

    @property
    def state(self) -> RegionsState:
        """Return what this plane lets be said.

        Where more frames are unfamiliar than not, the few that passed say nothing either.
        """
        if not self.frames:
            return RegionsState.WAITING
        known = self.frames - self.unfamiliar
        return RegionsState.JUDGED if known > self.unfamiliar else RegionsState.UNFAMILIAR

    def add(self, seen: ReaderResult, said: dict[str, Any]) -> bool:
        """Count a frame; returns whether it is the best so far."""
        self.frames += 1
        if said["unfamiliar"]:
            self.unfamiliar += 1
            return False
        if self.best is not None and said["goodness"] <= self.goodness:
            return False
        self.goodness = said["goodness"]
        regions = {name: dict(each) for name, each in said["regions"].items()}
        self.best = {"seq": seen.seq, "pts_s": round(seen.pts_s, 3), "regions": regions}
        return True

    def describe(self) -> dict[str, Any]:
        """Return `frames`, `unfamiliar`, `state`, and `best`: which frame, and its `score`."""
        best = None
        if self.best is not None:
            where = {name: self.best[name] for name in ("seq", "pts_s")}
            best = {**where, "score": round(self.goodness, 3)}
        return {
            "frames": self.frames,
            "unfamiliar": self.unfamiliar,
            "state": str(self.state),
            "best": best,
        }


class RegionsExam(Counted):
    """One exam's regions; adds `ReaderResult`s of a regions bundle.

    The verdict's log-odds are the sum of what the six regions of the two best frames speak for, 0
    being the operating point. So each region's contribution is exact, and no more than it says.
    """

    def __init__(self) -> None:
        super().__init__()
        self._planes = {name: PlaneSeen() for name in PLANES}
        self._weeks = WeeksSeen()

    def update(self, seen: ReaderResult) -> dict[str, float]:
        """Add a frame; returns the plane of which it is the best so far, and how good it is.

        Raises `ValueError`, `TypeError`, `KeyError` where what is said is none of this kind.
        """
        said = self._count(seen)
        if said is None:
            return {}
        self._weeks.add(said)
        plane = said["plane"]
        if plane not in self._planes or not said["regions"]:
            return {}
        _check_said(plane, said)
        best = self._planes[plane].add(seen, said)
        return {plane: float(said["goodness"])} if best else {}

    @property
    def state(self) -> RegionsState:
        """Return how far the verdict has come: as far as the plane that is furthest behind."""
        states = {each.state for each in self._planes.values()}
        for state in (RegionsState.WAITING, RegionsState.UNFAMILIAR):
            if state in states:
                return state
        return RegionsState.JUDGED if self._weeks.holds else RegionsState.ABSTAINS

    def snapshot(self) -> dict[str, Any]:
        """Return the exam as files and screens say it; `verdict` is None unless it is judged.

        `score` is 0 to 1, 0.5 the operating point: no probability. `waiting_for` are the planes
        that have not been seen, `unfamiliar` those that are unlike what was learnt from.
        """
        state = self.state
        by_state = {
            each: [name for name, plane in self._planes.items() if plane.state is each]
            for each in RegionsState
        }
        lean = self._lean() if state is RegionsState.JUDGED else None
        return {
            **super().snapshot(),
            "state": str(state),
            CARD_KEY: self._weeks.snapshot(),
            "waiting_for": by_state[RegionsState.WAITING],
            "unfamiliar": by_state[RegionsState.UNFAMILIAR],
            "verdict": None if lean is None else ABNORMAL if lean >= 0 else NORMAL,
            "score": None if lean is None else round(squash(lean), 4),
            "regions": {
                each.name: self._describe_region(each.name, each.plane) for each in REGIONS
            },
            "planes": {name: plane.describe() for name, plane in self._planes.items()},
        }

    def _lean(self) -> float:
        return math.fsum(
            each["contribution"]
            for plane in self._planes.values()
            if plane.best is not None
            for each in plane.best["regions"].values()
        )

    def _describe_region(self, name: str, plane: str) -> dict[str, Any]:
        """Return what a region speaks for: nothing while its plane says nothing."""
        seen = self._planes[plane]
        silent = seen.state is not RegionsState.JUDGED or not self._weeks.holds
        if seen.best is None or silent:
            return {"plane": plane, "found": None, "contribution": None}
        each = seen.best["regions"][name]
        return {"plane": plane, "found": each["found"], "contribution": each["contribution"]}

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""
        planes = {
            name: [each.frames, each.unfamiliar, each.goodness, each.best]
            for name, each in self._planes.items()
        }
        return {**super().to_json(), "planes": planes, CARD_KEY: self._weeks.to_json()}

    def take_up(self, found: Mapping[str, Any]) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
        try:
            planes = {name: PlaneSeen(*found["planes"][name]) for name in PLANES}
            weeks = WeeksSeen.restore(found.get(CARD_KEY))
            super().take_up(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the saved state of regions is not readable: {error!r}") from error
        self._planes, self._weeks = planes, weeks


def _check_said(plane: str, said: dict[str, Any]) -> None:
    """Raise `ValueError` where a reading's regions are not a plane's, or its numbers are none."""
    expected = {each.name for each in regions_of(plane)}
    if set(said["regions"]) != expected:
        raise ValueError(f"regions of {plane} are {sorted(expected)}")
    numbers = [said["goodness"], *(each["contribution"] for each in said["regions"].values())]
    if not all(math.isfinite(each) for each in numbers):
        raise ValueError("a region's numbers are none")


def squash(lean: float) -> float:
    """Return log-odds as a score from 0 to 1."""
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, lean))))
