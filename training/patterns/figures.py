"""How good the detector of patterns is: on phantoms, and how seldom it speaks of normal women."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.kinds.patterns import keep
from neurosono.engine.patterns.names import FINDINGS, LABELS
from neurosono.engine.patterns.rules import Rules, count_contradictions
from neurosono.training.detect.figures import Judged, tell
from neurosono.training.metrics.ranking import rank
from neurosono.training.metrics.resampling import set_wilson
from neurosono.training.patterns.calibrate import calibrate, is_normal
from neurosono.training.patterns.judge import Seen, add_up, by_patient
from neurosono.training.squares import PHANTOM


def measure(held_out: Sequence[Seen], test: Sequence[Seen]) -> dict[str, Any]:
    """Return every figure; thresholds are of `held_out`, and so are the real women.

    Real women are judged by thresholds that were set on the other half of the patients held out.
    `test` are phantoms of other patients.
    """
    rules = calibrate(held_out)
    halves = _halve([each for each in held_out if each.row.source != PHANTOM])
    controls = _halve([each for each in held_out if each.row.source == PHANTOM])
    normal: list[tuple[list[Seen], Rules]] = []
    for own, other in ((0, 1), (1, 0)):
        set_on_others = calibrate([*halves[other], *controls[other]])
        normal += [(each, set_on_others) for each in by_patient(halves[own]).values()]
    phantoms = [each for each in test if each.row.source == PHANTOM]
    return {
        "rules": rules.to_json(),
        "real": measure_normals(normal),
        "phantom": {
            "pictures": len(phantoms),
            "patients": len(by_patient(phantoms)),
            "ranking": measure_ranking(phantoms),
            "exams": measure_exams(phantoms, rules),
        },
        "contradictions": _contradict(list(dict.fromkeys([*held_out, *test])), rules),
    }


def _halve(seen: Sequence[Seen]) -> tuple[list[Seen], list[Seen]]:
    names = sorted(by_patient(seen))
    first = set(names[::2])
    return (
        [each for each in seen if each.row.patient in first],
        [each for each in seen if each.row.patient not in first],
    )


def measure_normals(exams: Sequence[tuple[Sequence[Seen], Rules]]) -> dict[str, Any]:
    """Return in how many exams without a finding any is said, in a picture and by the dwell."""
    pictures = sum(len(exam) for exam, _ in exams)
    said = [_said(exam, rules) for exam, rules in exams]
    by_dwell = [
        any(each["seen"] for each in add_up(exam, rules)["findings"].values())
        for exam, rules in exams
    ]
    return {
        "exams": len(exams),
        "pictures": pictures,
        "any_picture": set_wilson(sum(bool(names) for names in said), len(exams)),
        "by_dwell": set_wilson(sum(by_dwell), len(exams)),
        "exams_of_three_pictures": sum(len(exam) >= 3 for exam, _ in exams),
        "by_finding": {name: sum(name in names for names in said) for name in FINDINGS},
    }


def _said(exam: Sequence[Seen], rules: Rules) -> set[str]:
    kept = (box for each in exam for box in keep(each.reading.boxes, rules))
    return {box.label for box in kept if box.label in FINDINGS}


def measure_ranking(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the AUROC of each finding's score over pictures, and their mean.

    Against a picture that shows a finding stands each of which it is known that it does not.
    """
    judged = [Judged(each.row, each.reading) for each in seen]
    each_one = {name: _auc_of(seen, name) for name in FINDINGS}

    def macro(weight: Floats) -> float:
        return float(np.mean([figure(weight) for figure, *_ in each_one.values()]))

    return {
        "macro_auc": tell(judged, macro),
        "findings": {
            name: {"auc": tell(judged, figure), "shown": shown, "not_shown": absent}
            for name, (figure, shown, absent) in each_one.items()
        },
    }


def _auc_of(seen: Sequence[Seen], name: str) -> Any:
    score = np.array([each.scores[LABELS.index(name)] for each in seen])
    known = np.array([name in each.row.known for each in seen])
    shown = np.array([any(box.label == name for box in each.row.boxes) for each in seen])
    chosen = np.flatnonzero(known | shown)

    def figure(weight: Floats) -> float:
        some = np.arange(len(chosen))
        area, _ = rank(score[chosen], shown[chosen], weight[None, chosen], some)
        return float(area[0])

    return figure, int(shown[chosen].sum()), int((~shown[chosen]).sum())


def measure_exams(seen: Sequence[Seen], rules: Rules) -> dict[str, Any]:
    """Return how often exams end with their finding, with another one, or controls with any.

    An exam counts for a finding where so many pictures show it as the dwell asks for.
    """
    found: dict[str, Any] = {}
    ends = {
        patient: (exam, add_up(exam, rules)["findings"])
        for patient, exam in by_patient(seen).items()
    }
    for name in FINDINGS:
        chosen = [end for exam, end in ends.values() if _shows(exam, name) >= rules.dwell]
        right = sum(end[name]["seen"] for end in chosen)
        other = sum(any(end[n]["seen"] for n in FINDINGS if n != name) for end in chosen)
        found[name] = {"seen": set_wilson(right, len(chosen)), "another_seen": other}
    controls = [end for exam, end in ends.values() if is_normal(exam)]
    alarms = sum(any(each["seen"] for each in end.values()) for end in controls)
    return {"findings": found, "controls_with_any": set_wilson(alarms, len(controls))}


def _shows(exam: Sequence[Seen], name: str) -> int:
    return sum(any(box.label == name for box in each.row.boxes) for each in exam)


def _contradict(seen: Sequence[Seen], rules: Rules) -> dict[str, int]:
    """Return how many contradictions the network says, and how many are left by the logic."""
    groups = rules.groups
    return {
        "pictures": len(seen),
        "before": sum(count_contradictions(each.reading.boxes, groups) for each in seen),
        "after": sum(
            count_contradictions(keep(each.reading.boxes, rules), groups) for each in seen
        ),
    }
