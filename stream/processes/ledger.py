"""Which sampled frames are accounted for: those up to a number, and some beyond it."""

from collections.abc import Mapping
from typing import Any


class Ledger:
    """Counts `seq` numbers that come nearly in order, each once."""

    def __init__(self, first_seq: int = 0) -> None:
        self.next_seq = first_seq
        self._beyond: set[int] = set()
        self.recorded = 0

    def add(self, seq: int) -> bool:
        """Enter `seq`; returns whether it was new."""
        if seq < self.next_seq or seq in self._beyond:
            return False
        self.recorded += 1
        self._beyond.add(seq)
        while self.next_seq in self._beyond:
            self._beyond.discard(self.next_seq)
            self.next_seq += 1
        return True

    def begin_at(self, seq: int) -> None:
        """Go on at `seq`: another capture process numbers its frames from there."""
        self.next_seq = max(self.next_seq, seq)
        self._beyond = {each for each in self._beyond if each >= seq}

    def describe(self) -> dict[str, object]:
        """Return what `engine-off` tells the capture process: who needs no counting any more."""
        return {"next_seq": self.next_seq, "answered": sorted(self._beyond)}


def count_frames(
    end: Mapping[str, Any], decoded: int, displayed: int, used: int, skipped: Mapping[str, int]
) -> tuple[dict[str, Any], bool]:
    """Return `frames` of `exam.json`, and whether they add up to what capture counted.

    `end` is capture's last word, empty where it said none: then what came of it is all there was.
    """
    decoded = int(end.get("decoded", decoded))
    sampled = int(end.get("sampled", used + sum(skipped.values())))
    dropped = decoded - displayed
    counted = {
        "decoded": decoded,
        "displayed": displayed,
        "dropped": dropped,
        "sampled": sampled,
        "used": used,
        "skipped": dict(skipped),
    }
    whole = end.get("dropped") in (None, dropped)
    return counted, whole and sampled == used + sum(skipped.values())
