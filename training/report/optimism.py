"""How much the published protocol flatters: checkpoints chosen on the very patients they judge."""

from typing import Any

import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.metrics.metrics import count
from neurosono.training.metrics.resampling import Draws, set_interval


def measure_optimism(nested: Predictions, paper: Predictions) -> dict[str, Any]:
    """Return frame and exam accuracy both ways, and nested minus paper with its 95 % interval.

    The patients are drawn with replacement once for both ways: the difference is paired. Raises
    `InputError` where the two judged no patient in common; others are left out and counted.
    """
    if nested.labels != paper.labels:
        raise InputError("the two selections judged other labels: train again")
    common = np.intersect1d(nested.patients, paper.patients)
    if not len(common):
        raise InputError("the two selections judged no patient in common: train again")
    left_out = len(np.union1d(nested.patients, paper.patients)) - len(common)
    nested = nested.select(np.isin(nested.patients, common))
    paper = paper.select(np.isin(paper.patients, common))
    once, drawn = Draws.once(nested), Draws.bootstrap(nested)
    found: dict[str, Any] = {"patients": len(common), "patients_left_out": left_out}
    for level, pair in (
        ("frames", (nested, paper)),
        ("exams", (nested.by_exam(), paper.by_exam())),
    ):
        here = [count(each, once, once.find(each))["accuracy"] for each in pair]
        there = [count(each, drawn, drawn.find(each))["accuracy"] for each in pair]
        found[level] = {
            "nested": set_interval(here[0][0], there[0]),
            "paper": set_interval(here[1][0], there[1]),
            "nested_minus_paper": set_interval((here[0] - here[1])[0], there[0] - there[1]),
        }
    return found
