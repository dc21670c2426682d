"""How good a gate is on a scanner, or a database, that it never saw: each is left out in turn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError
from neurosono.training.gate.data import GateData
from neurosono.training.gate.heads import fit_heads
from neurosono.training.gate.looks import Looks
from neurosono.training.gate.metrics import Answers, describe_kind
from neurosono.training.gate.recipe import GateRecipe
from neurosono.training.squares import PHANTOM

BY = ("source", "machine")
NEVER_LEFT_OUT = ""
REFUSED_SHARE = 0.03
"""Of heads of sources left out: what the score's threshold may refuse."""


@dataclass(frozen=True)
class LeftOut:
    """Each frame judged once, by heads that saw nothing of its group; `groups` (N,) names it."""

    answers: Answers
    groups: NDArray[np.str_]

    def choose_threshold(self, data: GateData, but: str = NEVER_LEFT_OUT) -> float:
        """Return the score under which `REFUSED_SHARE` of heads lie, those of group `but` aside."""
        heads = data.positive[self.answers.rows] & (self.groups != but)
        chosen = self.answers.scores[heads]
        return float(np.quantile(chosen, REFUSED_SHARE)) if len(chosen) else 0.5


def name_groups(data: GateData, by: str) -> NDArray[np.str_]:
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


def leave_out(data: GateData, looks: Looks, recipe: GateRecipe, by: str) -> LeftOut:
    """Fit without each group and its patients, and judge the group."""
    groups = name_groups(data, by)
    patients = np.array([row.patient for row in data.rows])
    parts: list[Answers] = []
    for name in sorted(set(groups) - {NEVER_LEFT_OUT}):
        held = np.flatnonzero(groups == name)
        train = np.flatnonzero(~np.isin(patients, patients[held]))
        judged = fit_heads(data, looks, train, recipe).answer(looks.plain[held])
        parts.append(Answers(held, judged.scores, np.zeros(len(held)), judged.planes))
    pooled = Answers(
        np.concatenate([each.rows for each in parts]),
        np.concatenate([each.scores for each in parts]),
        np.concatenate([each.unfamiliarity for each in parts]),
        np.concatenate([each.planes for each in parts]),
    )
    return LeftOut(pooled, groups[pooled.rows])


def describe_left_out(data: GateData, found: LeftOut, by: str) -> dict[str, Any]:
    """Return the figures of all together and of each group.

    The operating point is chosen without the group that it is tried on, where there is another with
    heads: on a scanner of one's own nobody has chosen one either.
    """
    names = sorted(set(found.groups))
    limits = {name: found.choose_threshold(data, name) for name in names}
    threshold = np.array([limits[name] for name in found.groups])

    def describe(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        return describe_kind(data, found.answers, chosen, threshold, unfamiliar=1.0)

    return {
        "by": by,
        "thresholds": limits,
        "pooled": describe(np.ones(len(threshold), dtype=bool)),
        "groups": {name: describe(found.groups == name) for name in names},
    }
