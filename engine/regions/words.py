"""An exam's regions in words, the same on screens, in reports and at the terminal."""

from collections.abc import Mapping
from typing import Any

from neurosono.engine.kinds.told import Mark, Told
from neurosono.engine.regions.exam import RegionsState
from neurosono.engine.regions.names import PLANE_WORDS
from neurosono.engine.structures.weeks import tell_weeks

CAUTION = "learnt on phantoms alone: no sensitivity for real heads is known"
"""What stands beside every verdict of this release's regions."""
_LEAST = 0.05
"""A contribution of less to the log-odds is told as none."""


def tell_regions(exam: Mapping[str, Any]) -> Told:
    """Return lines such as `abnormal, score 0.93`, what spoke for it, and the planes seen."""
    marks = tuple(
        Mark(name, each["best"] is not None, each["frames"])
        for name, each in exam["planes"].items()
    )
    if exam["state"] != RegionsState.JUDGED:
        return Told(_tell_silence(exam), marks)
    return Told(
        (f"{exam['verdict']}, score {exam['score']:.2f}", *_tell_contributions(exam), CAUTION),
        marks,
    )


def _tell_silence(exam: Mapping[str, Any]) -> tuple[str, ...]:
    lines = []
    if (abstains := tell_weeks(exam.get("weeks"), "verdict")) is not None:
        lines.append(abstains)
    if exam["unfamiliar"]:
        planes = " and ".join(PLANE_WORDS[name] for name in exam["unfamiliar"])
        lines.append(f"no verdict: the {planes} pictures are unlike those learnt from")
    if exam["waiting_for"]:
        planes = " and the ".join(PLANE_WORDS[name] for name in exam["waiting_for"])
        many = "s" if len(exam["waiting_for"]) > 1 else ""
        lines.append(f"waiting for the {planes} plane{many}")
    return tuple(lines)


def _tell_contributions(exam: Mapping[str, Any]) -> list[str]:
    """Return two lines at the most: which regions speak for abnormal, and which for normal."""
    said = {name: each["contribution"] for name, each in exam["regions"].items()}
    ways = {
        "abnormal": sorted((n for n in said if said[n] >= _LEAST), key=lambda n: -said[n]),
        "normal": sorted((n for n in said if said[n] <= -_LEAST), key=lambda n: said[n]),
    }
    return [
        f"for {way}: " + ", ".join(f"{_name(exam, name)} {said[name]:+.1f}" for name in names)
        for way, names in ways.items()
        if names
    ]


def _name(exam: Mapping[str, Any], name: str) -> str:
    missing = "" if exam["regions"][name]["found"] else " (not found)"
    return name.replace("-", " ") + missing
