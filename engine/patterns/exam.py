"""What finding patterns add up to over an exam: looks that are apart, and no contradictions.

It needs nothing of its bundle: what a frame's reading says carries the rules that it was read by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.exam.counted import Counted
from neurosono.engine.patterns.names import FINDINGS, LABELS
from neurosono.engine.structures.weeks import CARD_KEY, WeeksSeen


@dataclass
class Looks:
    """How often one label was seen: frames, looks apart from each other, the surest of these.

    `scores` are those of the surest looks, as many as the dwell, surest first. `best` is the best
    frame from the one on that made the dwell full.
    """

    frames: int = 0
    looks: int = 0
    since_s: float = 0.0
    current: float = 0.0
    scores: list[float] = field(default_factory=list)
    best_score: float = 0.0
    best: dict[str, Any] | None = None

    def add(self, seen: ReaderResult, score: float, dwell: int, apart_s: float) -> bool:
        """Count a frame; returns whether it is the best so far of what has its dwell."""
        self.frames += 1
        if self.looks == 0 or abs(seen.pts_s - self.since_s) >= apart_s:
            self.looks, self.since_s, self.current = self.looks + 1, seen.pts_s, score
            self.scores.append(score)
        elif score > self.current:  # a better frame of the same look
            if self.current in self.scores:
                self.scores.remove(self.current)
            self.scores.append(score)
            self.current = score
        self.scores = sorted(self.scores, reverse=True)[:dwell]
        if self.looks < dwell or (self.best is not None and score <= self.best_score):
            return False
        self.best_score = score
        self.best = {"seq": seen.seq, "pts_s": round(seen.pts_s, 3)}
        return True

    def score(self, dwell: int) -> float:
        """Return the score that `dwell` looks reached, 0 before there were as many."""
        return self.scores[dwell - 1] if len(self.scores) >= dwell else 0.0

    def describe(self, dwell: int, yields_to: str | None, holds: bool = True) -> dict[str, Any]:
        """Return `frames`, `looks`, `score`, `seen`, what it `yields_to`, and `best`.

        What does not hold for this fetus is never seen.
        """
        seen = self.looks >= dwell and yields_to is None and holds
        best = None if self.best is None else {**self.best, "score": round(self.best_score, 3)}
        return {
            "frames": self.frames,
            "looks": self.looks,
            "score": round(self.score(dwell), 3),
            "seen": seen,
            "yields_to": yields_to,
            "best": best if seen else None,
        }


class PatternsExam(Counted):
    """One exam's findings and normal structures; adds `ReaderResult`s of a patterns bundle."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = {label: Looks() for label in LABELS}
        self._dwell, self._apart_s = 1, 0.0
        self._excludes: list[list[str]] = []
        self._weeks = WeeksSeen()

    def update(self, seen: ReaderResult) -> dict[str, float]:
        """Add a frame; returns the findings of which it is the best so far, and how sure it is."""
        said = self._count(seen)
        if said is None:
            return {}
        self._dwell, self._apart_s = int(said["dwell"]), float(said["apart_s"])
        self._excludes = said["excludes"]
        self._weeks.add(said)
        surest: dict[str, float] = {}
        for box in said["boxes"]:
            surest[box["label"]] = max(box["score"], surest.get(box["label"], 0.0))
        best = {
            label: score
            for label, score in surest.items()
            if self._looks[label].add(seen, score, self._dwell, self._apart_s)
        }
        if not self._weeks.holds:
            return {}
        yields = self._yields()
        return {
            label: score for label, score in best.items() if label in FINDINGS and not yields[label]
        }

    def _yields(self) -> dict[str, str | None]:
        """Return of each label which surer one it yields to over the exam, None where to none."""
        order = sorted(
            LABELS, key=lambda label: (-self._looks[label].score(self._dwell), LABELS.index(label))
        )
        kept: list[str] = []
        found: dict[str, str | None] = {}
        for label in order:
            if not self._looks[label].score(self._dwell):
                found[label] = None
                continue
            rivals = [set(group) - {label} for group in self._excludes if label in group]
            found[label] = next((each for each in kept if any(each in r for r in rivals)), None)
            if found[label] is None:
                kept.append(label)
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return the exam as files and screens say it; `weeks` says whether findings hold."""
        yields, holds = self._yields(), self._weeks.holds
        told = {
            label: looks.describe(self._dwell, yields[label], holds or label not in FINDINGS)
            for label, looks in self._looks.items()
        }
        return {
            **super().snapshot(),
            "dwell": self._dwell,
            "apart_s": self._apart_s,
            CARD_KEY: self._weeks.snapshot(),
            "findings": {label: told[label] for label in FINDINGS},
            "structures": {label: each for label, each in told.items() if label not in FINDINGS},
        }

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""
        return {
            **super().to_json(),
            "rules": [self._dwell, self._apart_s, self._excludes],
            CARD_KEY: self._weeks.to_json(),
            "looks": {
                label: [
                    each.frames,
                    each.looks,
                    each.since_s,
                    each.current,
                    list(each.scores),
                    each.best_score,
                    each.best,
                ]
                for label, each in self._looks.items()
            },
        }

    def take_up(self, found: Mapping[str, Any]) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
        try:
            super().take_up(found)
            self._dwell, self._apart_s, excludes = found["rules"]
            self._excludes = [list(group) for group in excludes]
            self._looks = {label: Looks(*found["looks"][label]) for label in LABELS}
            self._weeks = WeeksSeen.restore(found.get(CARD_KEY))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the saved state of patterns is not readable: {error!r}") from error
