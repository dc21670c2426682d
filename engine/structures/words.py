"""An exam's structures in words, the same on screens, in reports and at the terminal."""

from collections.abc import Mapping
from typing import Any

from neurosono.engine.kinds.told import Mark, Told

_LINES = (("hc",), ("bpd", "ofd"), ("atrial_width",))
"""Measures that stand in one line."""
_TOLD_WHOLE = ("hc", "atrial_width")
"""What says how many frames it rests on; BPD and OFD rest on those of HC, and all on its scale."""
_NAMES = {"hc": "HC", "bpd": "BPD", "ofd": "OFD", "atrial_width": "atrium"}
CAUTION = "learnt on phantoms: unproven"
"""What stands beside a structure that no real picture taught."""


def tell_structures(exam: Mapping[str, Any]) -> Told:
    """Return lines such as `HC 178 mm (172 to 184, 41 frames, scale: ruler)`, and the checklist."""
    lines = [line for group in _LINES if (line := _tell_measures(group, exam))]
    age = exam["age"]
    if age is not None:
        lines.insert(1, f"age by HC {age['weeks']:.1f} weeks ± {age['two_sd_weeks']:.1f} (2 SD)")
    if exam["contradicts"]:
        told = ", ".join(f"{who} says {mm:.3f}" for who, mm in exam["scale"]["told"].items())
        lines.insert(0, f"scales differ: {told} mm a pixel; none is used: give --mm-per-px")
    elif exam["scale"]["mm_per_px"] is None and exam["frames"]["used"]:
        lines.append("no scale is known: in pixels")
    marks = [
        Mark(name, each["seen"], each["frames"], unproven=each.get("unproven", False))
        for part in ("planes", "structures")
        for name, each in exam[part].items()
    ]
    return Told(tuple(lines), tuple(marks))


def _tell_measures(names: tuple[str, ...], exam: Mapping[str, Any]) -> str:
    """Return measures in one line; how many frames and whose scale is said of the first of all."""
    said = [line for name in names if (line := _tell_measure(name, exam)) is not None]
    return ", ".join(said)


def _tell_measure(name: str, exam: Mapping[str, Any]) -> str | None:
    for unit in ("mm", "px"):
        found = exam["measurements"][f"{name}_{unit}"]
        if found is None:
            continue
        digits = 1 if name == "atrial_width" and unit == "mm" else 0
        value, low, high = (f"{found[each]:.{digits}f}" for each in ("value", "low", "high"))
        rest = f", {found['frames']} frames" if name in _TOLD_WHOLE else ""
        if name == "hc" and unit == "mm":
            rest += f", scale: {_name_sources(exam)}"
        return f"{_NAMES[name]} {value} {unit} ({low} to {high}{rest})"
    return None


def _name_sources(exam: Mapping[str, Any]) -> str:
    return " and ".join(exam["scale"]["sources"]) or "unknown"
