"""Judges pictures with a graph of patterns, and adds them up to exams as a session does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds.patterns import LIMITS, describe
from neurosono.engine.patterns.exam import PatternsExam
from neurosono.engine.patterns.names import FINDINGS
from neurosono.engine.patterns.rules import Group, Rules, resolve
from neurosono.engine.structures.graph import StructuresGraph
from neurosono.engine.structures.reading import Reading, read_answer
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.rows import Row

LEAST_SCORE = 0.05
"""Of boxes that are kept for calibration; a reading tells of the surer ones only."""
_NOTHING = np.zeros((1, 1), np.uint8)
_PICTURES_APART_S = 1.0
"""Prepared pictures of one patient are stills, or a second of an exam apart."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One picture: what is known of it, what was read, and the highest score of each label.

    `scores` (C,) are before any logic, 0 to 1, in the order of the data's labels.
    """

    row: Row
    reading: Reading
    scores: Floats

    def finding_scores(self, groups: Sequence[Group]) -> Floats:
        """Return the score of each finding (F,) that the logic leaves, 0 of the others."""
        left = resolve(self.reading.boxes, groups)
        best = dict.fromkeys(FINDINGS, 0.0)
        for each in left:
            if each.label in best:
                best[each.label] = max(best[each.label], each.score)
        return np.array([best[name] for name in FINDINGS])


def judge_patterns(
    graph: Path, data: DetectData, rows: Integers, watch: Callable[[], None]
) -> list[Seen]:
    """Return what the graph at `graph` says of `rows`, in pixels of their squares."""
    engine = StructuresGraph(graph, labels=data.labels)
    limits = replace(LIMITS, least_score=LEAST_SCORE)
    found = []
    for place in rows:
        answer = engine.infer(np.array(data.frames[place]))
        scores = np.sqrt(answer.classes * answer.centreness[:, None]).max(0)
        reading = read_answer(answer, data.size_px, data.size_px, limits=limits)
        found.append(Seen(data.rows[place], reading, scores.astype(np.float64)))
        watch()
    return found


def by_patient(seen: Iterable[Seen]) -> dict[str, list[Seen]]:
    """Return the pictures of each patient, in their order."""
    found: dict[str, list[Seen]] = {}
    for each in seen:
        found.setdefault(each.row.patient, []).append(each)
    return found


def add_up(pictures: Sequence[Seen], rules: Rules) -> dict[str, Any]:
    """Return the snapshot of an exam of these pictures, each a look of its own."""
    exam = PatternsExam()
    for place, each in enumerate(pictures):
        sure = tuple(box for box in each.reading.boxes if box.score >= LIMITS.least_score)
        said = describe(replace(each.reading, boxes=sure), rules)
        frame = Frame("", place, 0, _PICTURES_APART_S * place, _NOTHING)
        exam.update(ReaderResult.of(frame, "patterns", said=said))
    return exam.snapshot()
