"""Thresholds of findings, by how many normal exams may show one that is not there."""

from collections.abc import Sequence

import numpy as np

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.groups import GROUPS
from neurosono.engine.patterns.names import FINDINGS
from neurosono.engine.patterns.rules import Rules
from neurosono.training.patterns.judge import Seen, by_patient

FALSE_ALARMS = 0.02
"""Share of normal exams in which any single picture may pass any threshold. The dwell comes on top:
an exam of stills may have no more than one or two of a structure."""
LEAST_THRESHOLD = 0.30
"""However quiet normal exams are: below it the detector itself calls a box none."""
FEWEST_EXAMS = 20

_MARGIN = 1e-6


def is_normal(pictures: Sequence[Seen]) -> bool:
    """Return whether it is known of all of an exam's pictures that none shows a finding."""
    known = all(set(FINDINGS) <= set(each.row.known) for each in pictures)
    return known and not any(box.label in FINDINGS for each in pictures for box in each.row.boxes)


def highest_scores(exams: Sequence[Sequence[Seen]]) -> Floats:
    """Return the highest score of each finding in each exam, (E, F), after the logic."""
    rows = [np.max([each.finding_scores(GROUPS) for each in exam], axis=0) for exam in exams]
    return np.array(rows).reshape(len(rows), len(FINDINGS))


def calibrate(seen: Sequence[Seen], false_alarms: float = FALSE_ALARMS) -> Rules:
    """Return rules whose thresholds at most so large a share of normal exams passes anywhere.

    Every finding may be passed in equally many of them. Raises `InputError` for too few exams.
    """
    normal = [each for each in by_patient(seen).values() if is_normal(each)]
    if len(normal) < FEWEST_EXAMS:
        raise InputError(
            f"thresholds take {FEWEST_EXAMS} normal patients or more, found {len(normal)}"
        )
    highest = highest_scores(normal)
    most = int(false_alarms * len(normal))
    thresholds = _pass_over(highest, 0)
    for passed in range(1, most + 1):
        lower = _pass_over(highest, passed)
        if (highest >= lower).any(1).sum() > most:
            break
        thresholds = lower
    return Rules(GROUPS, dict(zip(FINDINGS, thresholds.tolist(), strict=True)))


def _pass_over(highest: Floats, exams: int) -> Floats:
    """Return the lowest thresholds (F,) that `exams` exams pass, each finding by itself."""
    ordered = -np.sort(-highest, axis=0)
    edge = ordered[exams] + _MARGIN
    found: Floats = np.clip(edge, LEAST_THRESHOLD, 1.0)
    return found
