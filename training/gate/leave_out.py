"""How good a gate is on a scanner, or a database, that it never saw: each is left out in turn."""

from typing import Any

import numpy as np

from neurosono.engine.arrays import join
from neurosono.engine.contracts.arrays import Words
from neurosono.engine.contracts.errors import InputError
from neurosono.training.gate.data import GateData
from neurosono.training.gate.metrics import Answers, describe_kind
from neurosono.training.gate.run import GateRun, Watch
from neurosono.training.gate.train import judge_frames
from neurosono.training.squares import PHANTOM

BY = ("source", "machine")
NEVER_LEFT_OUT = ""
THRESHOLD = 0.5
"""The even one: a threshold set on held-out heads would have to see the scanner left out."""


def name_groups(data: GateData, by: str) -> Words:
    """Return `(N,)` the group that each frame is left out with; "" for those that never are.

    By `source`: the database, whose folders share patients. By `machine`: the scanner, where it is
    known. Phantoms are always trained on. Raises `InputError` on another `by`, or fewer than two
    groups.
    """
    if by not in BY:
        raise InputError(f"--by must be one of {list(BY)}, found {by!r}")
    names = [
        NEVER_LEFT_OUT
        if row.source == PHANTOM
        else (row.machine if by == "machine" else row.patient.partition(":")[0])
        for row in data.rows
    ]
    if len(set(names) - {NEVER_LEFT_OUT}) < 2:
        raise InputError(f"these data are of fewer than two {by}s: nothing can be left out")
    return np.array(names)


def leave_out(job: GateRun, by: str, watch: Watch) -> dict[str, Any]:
    """Train without each group and its patients, judge the group, and describe all together.

    `pooled` has every frame judged once, by networks of different training; `groups` each alone.
    A killed run goes on where it stopped.
    """
    data = job.data
    groups = name_groups(data, by)
    patients = np.array([row.patient for row in data.rows])
    parts: list[tuple[str, Answers]] = []
    for name in sorted(set(groups) - {NEVER_LEFT_OUT}):
        held = np.flatnonzero(groups == name)
        train = np.flatnonzero(~np.isin(patients, patients[held]))
        network = job.train(f"without-{by}-{name}", train, watch)
        judged = judge_frames(network, np.asarray(data.frames[held]))
        parts.append((name, Answers(held, judged.scores, np.zeros(len(held)), judged.planes)))
    pooled = join([each for _, each in parts])
    return {
        "by": by,
        "threshold": THRESHOLD,
        "pooled": _describe(data, pooled),
        "groups": {name: _describe(data, each) for name, each in parts},
    }


def _describe(data: GateData, answers: Answers) -> dict[str, Any]:
    everything = np.ones(len(answers.rows), dtype=bool)
    return describe_kind(data, answers, everything, THRESHOLD, unfamiliar=1.0)
