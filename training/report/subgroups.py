"""Whether the model serves some patients worse: by trimester, by the 20-week cut, by site."""

from typing import Any

import numpy as np
from scipy.stats import fisher_exact, kruskal, mannwhitneyu

from neurosono.engine.contracts.arrays import Flags, Floats
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.metrics.metrics import count
from neurosono.training.metrics.resampling import Draws, set_interval, set_wilson

TRIMESTERS = (
    ("up to 12 weeks", 0.0, 13.0),
    ("13 to 28 weeks", 13.0, 29.0),
    ("over 28 weeks", 29.0, np.inf),
)
"""Completed weeks, the paper's groups: 12 weeks and 6 days are still the first."""

CUT_WEEKS = 20.0
"""The cut of the paper: the anatomical survey is done from then on."""

Groups = dict[str, Flags]


def describe_subgroups(frames: Predictions, draws: Draws) -> dict[str, Any]:
    """Return each way of splitting the exams: its groups, its tests, and how many are in none."""
    exams = frames.by_exam()
    weeks = exams.weeks
    ways = {
        "trimester": {name: (weeks >= low) & (weeks < high) for name, low, high in TRIMESTERS},
        "twenty_weeks": {
            "before 20 weeks": weeks < CUT_WEEKS,
            "from 20 weeks": weeks >= CUT_WEEKS,
        },
        "site": {str(site): exams.sites == site for site in np.unique(exams.sites) if site},
    }
    return {name: _describe_split(frames, exams, groups, draws) for name, groups in ways.items()}


def _describe_split(
    frames: Predictions, exams: Predictions, groups: Groups, draws: Draws
) -> dict[str, Any]:
    filled = {name: inside for name, inside in groups.items() if inside.any()}
    inside_any = np.zeros(len(exams.targets), dtype=bool)
    for inside in filled.values():
        inside_any |= inside
    return {
        "groups": [
            _describe_group(name, frames, exams.select(inside), draws)
            for name, inside in filled.items()
        ],
        "tests": compare_groups(exams, list(filled.values())),
        "exams_without": int((~inside_any).sum()),
    }


def _describe_group(
    name: str, frames: Predictions, exams: Predictions, draws: Draws
) -> dict[str, Any]:
    of_frames = frames.select(np.isin(frames.exams, exams.exams))
    right = int((exams.probabilities.argmax(1) == exams.targets).sum())
    return {
        "name": name,
        "patients": len(np.unique(exams.patients)),
        "exams": len(exams.targets),
        "frames": len(of_frames.targets),
        "exam_accuracy": _resample(exams, draws),
        "exam_accuracy_wilson": set_wilson(right, len(exams.targets)),
        "frame_accuracy": _resample(of_frames, draws),
        "true_probability": float(take_true(exams).mean()),
        "classes": {
            label: int((exams.targets == number).sum()) for number, label in enumerate(exams.labels)
        },
    }


def _resample(predictions: Predictions, draws: Draws) -> dict[str, float | None]:
    patient_of = draws.find(predictions)
    everyone = Draws(draws.patients, np.ones((1, len(draws.patients))))
    value = count(predictions, everyone, patient_of)["accuracy"][0]
    return set_interval(value, count(predictions, draws, patient_of)["accuracy"])


def take_true(predictions: Predictions) -> Floats:
    """Return the probability that each row gave to its truth, `(N,)`."""
    chosen: Floats = predictions.probabilities[
        np.arange(len(predictions.targets)), predictions.targets
    ]
    return chosen


def compare_groups(exams: Predictions, groups: list[Flags]) -> dict[str, float] | None:
    """Test whether the groups, two or more masks of the exams, are served alike; None for fewer.

    `correctness_p`: Fisher's exact test of right and wrong exams, of two groups only.
    `probability_p`: Mann-Whitney's test (of more groups Kruskal and Wallis') of the probability
    given to the truth, which is what the paper compares. Both two-sided; exams count as
    independent.
    """
    if len(groups) < 2:
        return None
    right = exams.probabilities.argmax(1) == exams.targets
    given = take_true(exams)
    parts = [given[inside] for inside in groups]
    if len(groups) > 2:
        constant = np.ptp(np.concatenate(parts)) == 0
        return {"probability_p": 1.0 if constant else float(kruskal(*parts).pvalue)}
    table = [[int(right[g].sum()), int((~right[g]).sum())] for g in groups]
    return {
        "correctness_p": float(fisher_exact(table).pvalue),
        "probability_p": float(mannwhitneyu(*parts, alternative="two-sided").pvalue),
    }
