"""How good a gate is: by patient and by frame, real and phantom apart, every source on its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Integers
from neurosono.training.gate.data import GateData
from neurosono.training.gate.train import PLANES, UNTOLD, plane_index
from neurosono.training.metrics.resampling import wilson_interval

PLANE_PRECISION = 0.9
"""Of the frames that are named a plane on held-out phantoms; what is less sure stays unnamed."""
PLANE_FRAMES = 20
NEVER = 2.0
"""A limit that no probability reaches."""


@dataclass(frozen=True)
class Answers:
    """What a gate said of frames of its data that it was not trained on.

    `rows` (N,) are their numbers; `scores`, `unfamiliarity` (N,) and `planes` (N, P) the answers.
    """

    rows: Integers
    scores: Floats
    unfamiliarity: Floats
    planes: Floats


def describe_gate(
    data: GateData,
    answers: Answers,
    threshold: float,
    unfamiliar: float,
    plane_limits: tuple[float, ...],
) -> dict[str, Any]:
    """Return the card's figures: AUROC, what is refused of each source, the planes' accuracy."""
    real = data.real[answers.rows]
    return {
        "real": describe_kind(data, answers, real, threshold, unfamiliar),
        "phantom": describe_kind(data, answers, ~real, threshold, unfamiliar)
        | {"planes": _describe_planes(data, answers, plane_limits)},
    }


def describe_kind(
    data: GateData,
    answers: Answers,
    chosen: Flags,
    threshold: float | Floats,
    unfamiliar: float,
) -> dict[str, Any]:
    """Return AUROC and what is refused of the `chosen` (N,) answers, all together and by source.

    One `threshold` for all, or that of each chosen answer.
    """
    rows, scores = answers.rows[chosen], answers.scores[chosen]
    positive = data.positive[rows]
    strange = (answers.unfamiliarity[chosen] > unfamiliar) & (scores >= threshold)
    refused = (scores < threshold) | strange
    sources = {
        f"{source}/{label}": _share(refused, strange, [
            (data.rows[row].source, data.rows[row].label) == (source, label) for row in rows
        ])
        for source, label in sorted({(data.rows[r].source, data.rows[r].label) for r in rows})
    }  # fmt: skip
    return {
        "auroc_by_patient": _auroc(*_by_patient(data, rows, scores)),
        "auroc_by_frame": _auroc(positive, scores),
        "heads_and_spines_refused": _share(refused, strange, positive.tolist()),
        "others_refused": _share(refused, strange, (~positive).tolist()),
        "by_source": sources,
    }


def _share(refused: Flags, strange: Flags, chosen: list[bool]) -> dict[str, Any]:
    inside = np.array(chosen, dtype=bool)
    count, total = int(refused[inside].sum()), int(inside.sum())
    return {
        "frames": total,
        "refused": count,
        "unfamiliar": int(strange[inside].sum()),
        "share": count / total if total else None,
        "interval_95": list(wilson_interval(count, total)),
    }


def _by_patient(data: GateData, rows: Integers, scores: Floats) -> tuple[Flags, Floats]:
    """Return each patient's mean score, heads and others of one patient apart."""
    groups: dict[tuple[str, bool], list[float]] = {}
    for row, score in zip(rows, scores, strict=True):
        found = data.rows[row]
        groups.setdefault((found.patient, found.label != "other"), []).append(float(score))
    truth = np.array([positive for _, positive in groups])
    return truth, np.array([float(np.mean(each)) for each in groups.values()])


def _auroc(positive: Flags, scores: Floats) -> float | None:
    """Return the share of pairs in the right order, ties half; None without both kinds."""
    heads, others = scores[positive], np.sort(scores[~positive])
    if not len(heads) or not len(others):
        return None
    below = np.searchsorted(others, heads, side="left")
    up_to = np.searchsorted(others, heads, side="right")
    return float((below + up_to).mean() / 2 / len(others))


def choose_plane_limits(data: GateData, answers: Answers) -> tuple[float, ...]:
    """Return, for each plane, the least probability from which `PLANE_PRECISION` are truly so.

    `NEVER` where no limit reaches it on at least `PLANE_FRAMES` held-out phantom frames.
    """
    truth, found, sure = _tell_planes(data, answers)
    limits = []
    for number in range(len(PLANES)):
        called = np.flatnonzero(found == number)
        order = called[np.argsort(-sure[called], kind="stable")]
        right = np.cumsum(truth[order] == number) / np.arange(1, len(order) + 1)
        good = np.flatnonzero(right >= PLANE_PRECISION)
        enough = len(good) > 0 and good[-1] + 1 >= PLANE_FRAMES
        limits.append(round(float(sure[order[good[-1]]]), 4) if enough else NEVER)
    return tuple(limits)


def _tell_planes(data: GateData, answers: Answers) -> tuple[Integers, Integers, Floats]:
    """Return of phantom heads and spines the true plane, the likeliest and its probability."""
    truth = np.array([plane_index(data.rows[row]) for row in answers.rows])
    told = (truth != UNTOLD) & data.positive[answers.rows]
    planes = answers.planes[told]
    return truth[told], planes.argmax(1), planes.max(1)


def _describe_planes(data: GateData, answers: Answers, limits: tuple[float, ...]) -> dict[str, Any]:
    truth, found, sure = _tell_planes(data, answers)
    named = sure >= np.array(limits)[found]
    right = truth == found
    by_plane = {
        plane: {
            "frames": int((truth == number).sum()),
            "named_so": int((named & (found == number)).sum()),
            "rightly": int((named & right & (found == number)).sum()),
        }
        for number, plane in enumerate(PLANES)
    }
    return {
        "frames": len(truth),
        "named": int(named.sum()),
        "accuracy_of_named": float(right[named].mean()) if named.any() else None,
        "accuracy_if_all_were_named": float(right.mean()) if len(right) else None,
        "by_plane": by_plane,
    }
