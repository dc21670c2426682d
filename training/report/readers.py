"""A reader study: what doctors recognised, what the system did, and what both do together.

The paper (section "Retrospective reader study") proposes to combine the two and gives no rule, so
there are two here. `either`: right if the reader or the system is; nobody can act on it without
knowing the truth, so it is an upper bound. `second_read`: the reader's answer stands, but where she
said "normal" or nothing the system's stands instead, as the paper describes; it can also do harm.
"""

from typing import Any

import numpy as np
from scipy.stats import binomtest

from neurosono.engine.contracts.arrays import Flags, Integers
from neurosono.engine.contracts.labels import NORMAL_LABEL
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.metrics.resampling import set_wilson
from neurosono.training.report.answers import Answer


def describe_readers(exams: Predictions, answers: list[Answer]) -> dict[str, Any]:
    """Compare each reader with the system on the exams that she read.

    `exams` are `Predictions.by_exam()`, as the system would show them.
    """
    at = {str(name): number for number, name in enumerate(exams.exams)}
    said = exams.probabilities.argmax(1)
    found = []
    for reader in dict.fromkeys(answer.reader for answer in answers):
        own = [answer for answer in answers if answer.reader == reader]
        rows = np.array([at[answer.exam] for answer in own])
        found.append(
            {"reader": reader}
            | _compare(
                np.array([answer.choice for answer in own]),
                said[rows],
                exams.targets[rows],
                exams.labels,
            )
        )
    return {
        "readers": found,
        "together": {
            "either": "right if the reader or the system is: an upper bound",
            "second_read": "the reader's answer; where it is normal or none, the system's",
        },
    }


def _compare(
    choices: Integers,
    system: Integers,
    targets: Integers,
    labels: tuple[str, ...],
) -> dict[str, Any]:
    normal = labels.index(NORMAL_LABEL) if NORMAL_LABEL in labels else -1
    second = np.where((choices == -1) | (choices == normal), system, choices)
    marks: dict[str, Flags] = {"reader": choices == targets, "system": system == targets}
    marks["either"] = marks["reader"] | marks["system"]
    marks["second_read"] = second == targets
    return {
        "exams": len(targets),
        "recognition": {who: rate(mark, targets, labels) for who, mark in marks.items()},
        "mcnemar": {
            f"reader_and_{who}": compare_pairs(marks["reader"], marks[who])
            for who in ("system", "either", "second_read")
        },
    }


def rate(marks: Flags, targets: Integers, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the share recognised, in all and of each class, with Wilson's intervals."""
    by_class = {
        label: set_wilson(int(marks[targets == number].sum()), int((targets == number).sum()))
        for number, label in enumerate(labels)
    }
    return {"all": set_wilson(int(marks.sum()), len(marks)), "classes": by_class}


def compare_pairs(one: Flags, other: Flags) -> dict[str, Any]:
    """Return McNemar's exact test, two-sided: the binomial test of the pairs that differ."""
    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    differ = only_one + only_other
    p = float(binomtest(only_one, differ, 0.5).pvalue) if differ else 1.0
    return {"only_first_right": only_one, "only_second_right": only_other, "p": p}
