"""How good the readings of held-out patients are: planes, structures, heads in millimetres.

Every figure has a 95 % interval from patients drawn with replacement, with all their pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.structures.biometry import measure_head
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.decode import Limits
from neurosono.engine.structures.names import (
    HEAD,
    HEAD_PLANES,
    LEARNT_ON_PHANTOMS,
    LV,
    NO_HEAD,
    PLANES,
    STRUCTURES,
    TRANSVENTRICULAR,
)
from neurosono.engine.structures.reading import Reading
from neurosono.training.detect.matching import Matches, Shown, average_precision, match
from neurosono.training.detect.rows import Row
from neurosono.training.squares import PHANTOM

RESAMPLES = 300
FEWEST_PATIENTS = 5
"""Of fewer no interval is given."""


@dataclass(frozen=True)
class Judged:
    """One held-out picture: what is known of it, what was read, in pixels of the square."""

    row: Row
    reading: Reading


Figure = Callable[[Floats], float]
"""A figure of pictures that count as often as their weights (N,) say."""


def tell(judged: Sequence[Judged], figure: Figure, seed: int = 0) -> dict[str, float | None]:
    """Return a figure with its 95 % interval over patients; None where it is undefined."""
    patients, at = np.unique([each.row.patient for each in judged], return_inverse=True)
    value = figure(np.ones(len(judged)))
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if len(patients) < FEWEST_PATIENTS:
        return {"value": value, "low": None, "high": None}
    rng = np.random.default_rng(seed)
    share = np.full(len(patients), 1 / len(patients))
    draws = rng.multinomial(len(patients), share, RESAMPLES).astype(float)
    found = np.array([figure(draw[at]) for draw in draws])
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return {"value": value, "low": float(low), "high": float(high)}


def measure(judged: Sequence[Judged], size_px: int) -> dict[str, Any]:
    """Return every figure, of real pictures and phantoms apart."""
    found: dict[str, Any] = {}
    for name, real in (("real", True), ("phantom", False)):
        some = [each for each in judged if (each.row.source != PHANTOM) == real]
        if not some:
            continue
        found[name] = {
            "pictures": len(some),
            "patients": len({each.row.patient for each in some}),
            "planes": measure_planes(some),
            "structures": measure_structures(some, size_px, real),
            "heads": measure_heads(some),
            "atria": measure_atria(some),
        }
    return found


def measure_planes(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the confusion of planes, and macro-F1 of the three head planes, also by machine."""
    told = [each for each in judged if each.row.plane]
    if not told:
        return {"pictures": 0}
    true = np.array([PLANES.index(each.row.plane) for each in told])
    said = np.array([PLANES.index(each.reading.likeliest) for each in told])
    confusion = np.zeros((len(PLANES), len(PLANES)), int)
    np.add.at(confusion, (true, said), 1)
    machines = sorted({each.row.machine for each in told if each.row.plane in HEAD_PLANES})
    by_machine = {}
    for machine in machines:
        inside = np.array([each.row.machine == machine for each in told])
        some = [each for each, chosen in zip(told, inside, strict=True) if chosen]
        by_machine[machine] = {
            "pictures": len(some),
            "macro_f1": tell(some, _f1_of(true[inside], said[inside])),
        }
    return {
        "pictures": len(told),
        "names": list(PLANES),
        "confusion": confusion.tolist(),
        "macro_f1": tell(told, _f1_of(true, said)),
        "by_machine": by_machine,
    }


def _f1_of(true: Integers, said: Integers) -> Figure:
    """Return macro-F1 of the head planes that are there; the rest count as mistakes only."""
    wanted = [PLANES.index(name) for name in HEAD_PLANES if (true == PLANES.index(name)).any()]

    def figure(weight: Floats) -> float:
        scores = []
        for plane in wanted:
            right = weight[(true == plane) & (said == plane)].sum()
            either = weight[true == plane].sum() + weight[said == plane].sum()
            scores.append(2 * right / either if either else np.nan)
        return float(np.nanmean(scores)) if scores else np.nan

    return figure


def measure_structures(judged: Sequence[Judged], size_px: int, real: bool) -> dict[str, Any]:
    """Return mAP50 and mAP50-95 of each structure and of the head, also by machine.

    A structure is judged on pictures on which its marks are complete. Upright marks are another
    person's, who drew with more room around: they are judged apart. Of structures that no real
    picture has marked, real figures do not exist: they are said to be unproven. "Not visible" is
    somebody's judgement of a real head, not an absence, so each is also judged without those.
    """
    found: dict[str, Any] = {}
    for label in (HEAD, *STRUCTURES):
        if real and label in LEARNT_ON_PHANTOMS:
            found[label] = {"unproven": True, "said": _count_said(judged, label)}
            continue
        some = [each for each in judged if _is_known(each.row, label)]
        upright = [each for each in some if _marks_upright(each.row, label)]
        close = [each for each in some if not _marks_upright(each.row, label)]
        plain = [each for each in close if not (real and _is_called_hidden(each.row, label))]
        parts = {label: close, f"{label}, upright marks": upright}
        if len(plain) < len(close):
            parts[f"{label}, none called not visible"] = plain
        for name, chosen in parts.items():
            shown = [_show(each, label) for each in chosen]
            if any(each.true for each in shown):
                found[name] = _measure_label(chosen, shown, size_px)
    return found


def _marks_upright(row: Row, label: str) -> bool:
    return any(each.upright for each in row.boxes if each.label == label)


def _is_called_hidden(row: Row, label: str) -> bool:
    """Return whether it is a head on which somebody looked for a structure and saw none."""
    return (
        label in row.known
        and row.plane not in ("", NO_HEAD)
        and all(each.label != label for each in row.boxes)
    )


def _measure_label(some: Sequence[Judged], shown: Sequence[Shown], size_px: int) -> dict[str, Any]:
    matches = match(shown, size_px)
    by_machine = {}
    for machine, inside in _by_machine(some).items():
        part = [shown[k] for k in inside]
        if any(each.true for each in part):
            by_machine[machine] = {
                "true": sum(len(each.true) for each in part),
                "ap50": tell([some[k] for k in inside], _ap50_of(match(part, size_px))),
            }
    return {
        "pictures": len(some),
        "true": int(matches.positives.sum()),
        "ap50": tell(some, _ap50_of(matches)),
        "ap50_95": tell(some, lambda w: float(average_precision(matches, w).mean())),
        "by_machine": by_machine,
    }


def _ap50_of(matches: Matches) -> Figure:
    return lambda weight: float(average_precision(matches, weight)[0])


def _by_machine(some: Sequence[Judged]) -> dict[str, list[int]]:
    """Return which of `some` are of each machine, or source where no machine is told."""
    names = [each.row.machine or each.row.source for each in some]
    return {name: [k for k, n in enumerate(names) if n == name] for name in sorted(set(names))}


def _count_said(judged: Sequence[Judged], label: str) -> int:
    """Return on how many pictures a structure is named as surely as a reading names one."""
    least = Limits().least_score
    return sum(
        any(box.label == label and box.score > least for box in each.reading.boxes)
        for each in judged
    )


def _is_known(row: Row, label: str) -> bool:
    return row.head_known if label == HEAD else label in row.known


def _show(judged: Judged, label: str) -> Shown:
    row, reading = judged.row, judged.reading
    if label == HEAD:
        true = (row.head.points(),) if row.head else ()
        score = 1 - reading.planes[NO_HEAD]
        return Shown(true, ((score, reading.head.points()),) if reading.head else ())
    marked = [each for each in row.boxes if each.label == label]
    outline = _upright if _marks_upright(row, label) else RotatedBox.corners
    return Shown(
        tuple(outline(each.box) for each in marked),
        tuple((each.score, outline(each.box)) for each in reading.boxes if each.label == label),
    )


def _upright(box: RotatedBox) -> Floats:
    """Return the upright box about a box: how marks lie of which only that is known."""
    corners = box.corners()
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def measure_heads(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the errors of HC, BPD and OFD: in millimetres where a scale is known, and in per cent.

    The pairs (true, found) are kept for Bland and Altman's plot.
    """
    some = [each for each in judged if each.row.head]
    read = [each for each in some if each.reading.head]
    found: dict[str, Any] = {"heads": len(some), "not_found": len(some) - len(read)}
    for unit, in_mm in (("mm", True), ("percent", False)):
        chosen = [each for each in read if not in_mm or each.row.mm_per_px]
        if not chosen:
            continue
        sizes = [_sizes(each, in_mm) for each in chosen]
        for name in ("hc", "bpd", "ofd"):
            pairs = np.array([[getattr(a, name), getattr(b, name)] for a, b in sizes])
            error = pairs[:, 1] - pairs[:, 0]
            if not in_mm:
                error = 100 * error / pairs[:, 0]
            found[f"{name}_{unit}"] = _describe_errors(chosen, error)
            if in_mm:
                found[f"{name}_{unit}"]["pairs"] = np.round(pairs, 2).tolist()
    return found


def _sizes(judged: Judged, in_mm: bool) -> tuple[Any, Any]:
    scale = judged.row.mm_per_px if in_mm and judged.row.mm_per_px else 1.0
    assert judged.row.head is not None
    assert judged.reading.head is not None
    return measure_head(judged.row.head, scale), measure_head(judged.reading.head, scale)


def _describe_errors(chosen: Sequence[Judged], error: Floats) -> dict[str, Any]:
    def mean_of(values: Floats) -> Figure:
        return lambda weight: float((values * weight).sum() / max(weight.sum(), 1e-12))

    spread = float(error.std(ddof=1)) if len(error) > 1 else 0.0
    bias = float(error.mean())
    by_machine = {}
    for name, inside in _by_machine(chosen).items():
        part = [chosen[k] for k in inside]
        by_machine[name] = {
            "pictures": len(part),
            "mean_absolute": tell(part, mean_of(np.abs(error[inside]))),
            "bias": tell(part, mean_of(error[inside])),
        }
    return {
        "pictures": len(chosen),
        "mean_absolute": tell(chosen, mean_of(np.abs(error))),
        "bias": tell(chosen, mean_of(error)),
        "limits_of_agreement": [bias - 1.96 * spread, bias + 1.96 * spread],
        "by_machine": by_machine,
    }


def measure_atria(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the error of the atrial width against the marked ventricle's short side, in mm.

    Only trans-ventricular pictures with a scale and a mark; of real ones the marks are biased low.
    """
    chosen, error, least = [], [], Limits().least_score
    for each in judged:
        scale = each.row.mm_per_px
        marks = [b.box.h for b in each.row.boxes if b.label == LV and not b.upright]
        boxes = [b.box.h for b in each.reading.boxes if b.label == LV and b.score > least]
        if scale and marks and boxes and each.row.plane == TRANSVENTRICULAR:
            chosen.append(each)
            error.append((boxes[0] - max(marks)) * scale)
    if not chosen:
        return {"pictures": 0}
    return _describe_errors(chosen, np.array(error))
