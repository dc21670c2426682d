"""An exam's findings in words, the same on screens, in reports and at the terminal."""

from collections.abc import Mapping
from typing import Any

from neurosono.engine.kinds.told import Mark, Told
from neurosono.engine.structures.weeks import tell_weeks

NO_DIAGNOSIS = "findings, no diagnoses; learnt on phantoms: unproven"
"""What stands beside every finding."""


def tell_patterns(exam: Mapping[str, Any]) -> Told:
    """Return a line a finding, such as `mega cisterna magna (4 looks, 0.81, best at 12.3 s)`.

    Without any nothing is called normal: it is said how many frames showed none. The checklist is
    of the normal structures.
    """
    lines = [_tell(name, each) for name, each in _ranked(exam) if each["seen"]]
    abstains = tell_weeks(exam.get("weeks"), "findings")
    if abstains is not None:
        lines = [abstains]
    elif lines:
        lines.append(NO_DIAGNOSIS)
    elif exam["frames"]["used"]:
        used = exam["frames"]["used"]
        lines.append(f"no finding pattern in {used} frame{'s' if used > 1 else ''}: no proof")
    marks = [
        Mark(name, each["seen"], each["frames"], unproven=True)
        for name, each in exam["structures"].items()
    ]
    return Told(tuple(lines), tuple(marks))


def _ranked(exam: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(exam["findings"].items(), key=lambda each: -each[1]["score"])


def _tell(name: str, each: Mapping[str, Any]) -> str:
    best = each["best"]
    when = "" if best is None else f", best at {best['pts_s']:.1f} s"
    return f"{name.replace('-', ' ')} ({each['looks']} looks, {each['score']:.2f}{when})"
