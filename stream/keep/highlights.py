"""The frames that moved the exam most, a few for each class."""

from dataclasses import dataclass

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.result import Result
from neurosono.stream.pictures.picture import shrink

THUMBNAIL_PX = 160
PER_CLASS = 3
APART_S = 1.0
"""Neighbours show the same view; a second apart they may not (design decision)."""


@dataclass(frozen=True)
class Highlight:
    """A frame that spoke for `label` by `evidence`: its probability less the exam's own."""

    label: str
    seq: int
    pts_s: float
    evidence: float
    pixels: Pixels


class Highlights:
    """Keeps the strongest frames of each class."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._best: dict[str, list[Highlight]] = {label: [] for label in labels}

    def offer(self, result: Result, pixels: Pixels) -> Highlight | None:
        """Take a used frame, its region `(H, W)` or `(H, W, 3)`; returns it if it was kept."""
        if result.probabilities is None:
            return None
        leading, evidence = measure_evidence(result)
        label = self._labels[leading]
        kept = self._best[label]
        near = [each for each in kept if abs(each.pts_s - result.pts_s) < APART_S]
        rivals = near or (kept if len(kept) >= PER_CLASS else [])
        if rivals:
            weakest = min(rivals, key=lambda each: each.evidence)
            if evidence <= weakest.evidence:
                return None
            kept.remove(weakest)
        small = shrink(pixels, THUMBNAIL_PX).copy()
        highlight = Highlight(label, result.seq, result.pts_s, evidence, small)
        kept.append(highlight)
        kept.sort(key=lambda each: -each.evidence)
        return highlight

    def of(self, label: str) -> list[Highlight]:
        """Return the frames kept for `label`, strongest first."""
        return list(self._best[label])


def measure_evidence(result: Result) -> tuple[int, float]:
    """Return the place of the class that a used frame speaks for, and by how much.

    That is its probability less the exam's own, so -1 to 1; a skipped frame says nothing.
    """
    if result.probabilities is None:
        raise InputError("a skipped frame has no evidence: ask for its `skip_reason` first")
    gain = result.probabilities - np.nan_to_num(result.exam.probabilities)
    leading = int(np.argmax(result.probabilities))
    return leading, float(gain[leading])
