"""Which sampled frames are accounted for: those up to a number, and some beyond it."""

from collections.abc import Mapping
from typing import Any

from neurosono.engine.contracts.result import ExamSnapshot


class Ledger:
    """Counts `seq` numbers that come nearly in order, each once."""

    def __init__(self, first_seq: int = 0) -> None:
        self.next_seq = first_seq
        self._beyond: set[int] = set()
        self.recorded = 0

    def add(self, seq: int) -> bool:
        """Enter `seq`; returns whether it was new."""
        if self.has(seq):
            return False
        self.recorded += 1
        self._beyond.add(seq)
        while self.next_seq in self._beyond:
            self._beyond.discard(self.next_seq)
            self.next_seq += 1
        return True

    def has(self, seq: int) -> bool:
        """Whether `seq` was entered."""
        return seq < self.next_seq or seq in self._beyond

    def begin_at(self, seq: int) -> None:
        """Go on at `seq`: another capture process numbers its frames from there."""
        self.next_seq = max(self.next_seq, seq)
        self._beyond = {each for each in self._beyond if each >= seq}

    def describe(self) -> dict[str, object]:
        """Return what `engine-off` tells the capture process: who needs no counting any more."""
        return {"next_seq": self.next_seq, "answered": sorted(self._beyond)}


def count_frames(decoded: int, displayed: int, exam: ExamSnapshot) -> dict[str, Any]:
    """Return `frames` of `exam.json`: what became of every picture and every sampled frame."""
    return {
        "decoded": decoded,
        "displayed": displayed,
        "dropped": decoded - displayed,
        "sampled": exam.used + sum(exam.skipped.values()),
        "used": exam.used,
        "skipped": dict(exam.skipped),
    }


def add_up(counted: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether `frames` are what capture counted; what it could not tell is not compared."""
    names = ("decoded", "displayed", "dropped", "sampled")
    return all(int(told.get(name, counted[name])) == counted[name] for name in names)
