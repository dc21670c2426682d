"""What structures add up to over an exam: a checklist, measurements, and the fetal age."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.exam.counted import Counted
from neurosono.engine.structures.biometry import estimate_age
from neurosono.engine.structures.names import (
    HEAD,
    HEAD_PLANES,
    LEARNT_ON_PHANTOMS,
    SPINE,
    STRUCTURES,
    TRANSTHALAMIC,
    TRANSVENTRICULAR,
)
from neurosono.engine.structures.spread import Spread

LISTED_PLANES = (*HEAD_PLANES, SPINE)
"""What a neurosonogram has to show."""
LISTED_STRUCTURES = (HEAD, *STRUCTURES)
SEEN_FRAMES = 3
"""So many frames make a plane or a structure seen: one alone may be a slip."""
SEEN_SCORE = 0.4
"""Least score of a structure that counts as seen."""

HEAD_MEASURES = ("hc", "bpd", "ofd")
ATRIUM = "atrial_width"
MEASURES = (*HEAD_MEASURES, ATRIUM)
MEASURED_IN = {
    **dict.fromkeys(HEAD_MEASURES, (TRANSTHALAMIC, TRANSVENTRICULAR)),
    ATRIUM: (TRANSVENTRICULAR,),
}
"""Planes whose frames are accepted for a measure (ISUOG 2020, doi 10.1002/uog.22145)."""
LEAST_QUALITY = 0.3
"""Of an accepted frame: a third of what its plane must hold. The median looks after the rest."""
FEWEST_FRAMES = 5
"""Accepted frames from which on a measure has a value: fewer are single pictures."""
UNITS = ("mm", "px")


@dataclass
class Mark:
    """One line of the checklist: in how many frames, and the best of them."""

    frames: int = 0
    score: float = 0.0
    best: dict[str, Any] | None = None

    def add(self, seen: ReaderResult, score: float) -> bool:
        """Count a frame; returns whether it is the best so far."""
        self.frames += 1
        if self.best is not None and score <= self.score:
            return False
        self.score = score
        self.best = {"seq": seen.seq, "pts_s": round(seen.pts_s, 3)}
        return True

    def describe(self) -> dict[str, Any]:
        """Return `frames`, `seen`, and `best`: which frame, and its `score`."""
        best = None if self.best is None else {**self.best, "score": round(self.score, 3)}
        return {"frames": self.frames, "seen": self.frames >= SEEN_FRAMES, "best": best}


class StructuresExam(Counted):
    """One exam's structures; adds `ReaderResult`s of a structures bundle."""

    def __init__(self) -> None:
        super().__init__()
        self._planes = {name: Mark() for name in LISTED_PLANES}
        self._structures = {name: Mark() for name in LISTED_STRUCTURES}
        self._measures = {f"{name}_{unit}": Spread() for name in MEASURES for unit in UNITS}
        self._sources: Counter[str] = Counter()
        self._scale: dict[str, Any] = {"mm_per_px": None, "source": None, "told": {}}

    def update(self, seen: ReaderResult) -> dict[str, float]:
        """Add a frame; returns the planes of which it is the best so far, and how good it is."""
        said = self._count(seen)
        if said is None:
            return {}
        source = None if seen.mm_per_px_from is None else str(seen.mm_per_px_from)
        told = dict(seen.told_mm_per_px)
        self._scale = {"mm_per_px": seen.mm_per_px, "source": source, "told": told}
        self._measure(said, source)
        return self._check(seen, said)

    def _check(self, seen: ReaderResult, said: dict[str, Any]) -> dict[str, float]:
        plane, best = said["plane"], {}
        if plane in self._planes:
            quality = said["planes"][plane] if said["quality"] is None else said["quality"]
            if self._planes[plane].add(seen, quality):
                best[plane] = float(quality)
        scores: dict[str, float] = {}
        for each in said["boxes"]:
            scores[each["label"]] = max(each["score"], scores.get(each["label"], 0.0))
        if said["head"] is not None:
            scores[HEAD] = 1 - said["planes"]["no-head"]
        for label, score in scores.items():
            if score >= SEEN_SCORE:
                self._structures[label].add(seen, score)
        return best

    def _measure(self, said: dict[str, Any], source: str | None) -> None:
        if said["quality"] is None or said["quality"] < LEAST_QUALITY:
            return
        took = False
        for name in MEASURES:
            if said["plane"] not in MEASURED_IN[name]:
                continue
            unit = "px" if source is None else "mm"
            value = said[f"{name}_{unit}"]
            if value:
                self._measures[f"{name}_{unit}"].add(value)
                took = True
        if took and source is not None:
            self._sources[source] += 1

    def snapshot(self) -> dict[str, Any]:
        """Return the exam as files and screens say it; without enough frames a measure is None."""
        measures = {
            name: spread.summarise() if spread.frames >= FEWEST_FRAMES else None
            for name, spread in self._measures.items()
        }
        hc = measures["hc_mm"]
        age = None if hc is None else estimate_age(hc["value"])
        return {
            **super().snapshot(),
            "planes": {name: mark.describe() for name, mark in self._planes.items()},
            "structures": {
                name: {**mark.describe(), "unproven": name in LEARNT_ON_PHANTOMS}
                for name, mark in self._structures.items()
            },
            "measurements": measures,
            "scale": {**self._scale, "sources": dict(self._sources)},
            "contradicts": self._scale["mm_per_px"] is None and bool(self._scale["told"]),
            "age": None if age is None else age.to_dict(),
        }

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""
        return {
            **super().to_json(),
            "marks": {
                name: [mark.frames, mark.score, mark.best] for name, mark in self._marks().items()
            },
            "measures": {name: spread.to_json() for name, spread in self._measures.items()},
            "sources": dict(self._sources),
            "scale": self._scale,
        }

    def take_up(self, found: Mapping[str, Any]) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
        try:
            super().take_up(found)
            for name, mark in self._marks().items():
                mark.frames, mark.score, mark.best = found["marks"][name]
            for name in self._measures:
                self._measures[name] = Spread.restore(found["measures"][name])
            self._sources = Counter(found["sources"])
            self._scale = dict(found["scale"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the saved state of structures is not readable: {error!r}") from error

    def _marks(self) -> dict[str, Mark]:
        return {**self._planes, **self._structures}
