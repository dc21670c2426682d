"""How good a gate is on a scanner, or a database, that it never saw: each is left out in turn."""

from typing import Any

import numpy as np

from neurosono.engine.arrays import join
from neurosono.engine.contracts.arrays import Floats, Words
from neurosono.engine.contracts.errors import InputError
from neurosono.training.gate.data import GateData
from neurosono.training.gate.metrics import Answers, describe_kind
from neurosono.training.gate.run import GateRun, Watch
from neurosono.training.gate.train import judge_frames
from neurosono.training.squares import PHANTOM

BY = ("source", "machine")
NEVER_LEFT_OUT = ""
SMALL_SHARE = 0.03
"""Of the real frames: groups under it are left out together, by one network that saw none of them:
harder than each alone, and training is what it costs."""
THRESHOLD = 0.5
"""The even one."""
HEADS_REFUSED = 0.03
"""What a threshold chosen on the heads of the other groups, each held out itself, refuses."""


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
    Both are told at the even threshold, and under `chosen` at each group's own, which is chosen on
    the held-out heads of the others. A killed run goes on where it stopped.
    """
    data = job.data
    groups = name_groups(data, by)
    patients = np.array([row.patient for row in data.rows])
    parts: dict[str, Answers] = {}
    for name, together in share_networks(groups).items():
        out = np.flatnonzero(np.isin(groups, together))
        train = np.flatnonzero(~np.isin(patients, patients[out]))
        network = job.train(f"without-{by}-{name}", train, watch)
        for group in together:
            held = np.flatnonzero(groups == group)
            judged = judge_frames(network, np.asarray(data.frames[held]))
            parts[group] = Answers(held, judged.scores, np.zeros(len(held)), judged.planes)
    parts = dict(sorted(parts.items()))
    chosen = {name: _choose_threshold(data, parts, name) for name in parts}
    pooled = join(list(parts.values()))
    own = np.concatenate([np.full(len(each.rows), chosen[name]) for name, each in parts.items()])
    return {
        "by": by,
        "threshold": THRESHOLD,
        "pooled": _describe(data, pooled, THRESHOLD) | {"chosen": _describe(data, pooled, own)},
        "groups": {
            name: _describe(data, each, THRESHOLD)
            | {"threshold": chosen[name], "chosen": _describe(data, each, chosen[name])}
            for name, each in parts.items()
        },
    }


def share_networks(groups: Words) -> dict[str, list[str]]:
    """Return which groups each network is trained without, by its name."""
    names, counts = np.unique(groups[groups != NEVER_LEFT_OUT], return_counts=True)
    is_small = counts < SMALL_SHARE * counts.sum()
    found = {str(name): [str(name)] for name in names[~is_small]}
    small = [str(name) for name in names[is_small]]
    return found | ({"+".join(small): small} if small else {})


def _choose_threshold(data: GateData, parts: dict[str, Answers], group: str) -> float:
    """Return the score under which `HEADS_REFUSED` of the other groups' held-out heads lie."""
    heads = [each.scores[data.positive[each.rows]] for name, each in parts.items() if name != group]
    scores = np.concatenate(heads)
    return float(np.quantile(scores, HEADS_REFUSED)) if len(scores) else THRESHOLD


def _describe(data: GateData, answers: Answers, threshold: float | Floats) -> dict[str, Any]:
    everything = np.ones(len(answers.rows), dtype=bool)
    return describe_kind(data, answers, everything, threshold, unfamiliar=1.0)
