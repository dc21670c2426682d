"""Limits that a report must keep: `closed_loop.fps_min = 60`, `open_loop.age_ms.p99_max = 60`."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError

PARTS = ("closed_loop", "open_loop", "stages", "network_floor", "floor", "ratios")
"""Parts of a report on which a limit can be set."""


@dataclass(frozen=True)
class Limit:
    """One limit: the number at `path` in the report must be at least, or at most, `bound`."""

    path: tuple[str, ...]
    at_least: bool
    bound: float

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{'.'.join(self.path)} {sign} {self.bound:g}"


def read_budget(path: Path) -> tuple[Limit, ...]:
    """Read a TOML file of limits; raises `InputError` on anything that is none."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the budget {path} cannot be read: {reason}") from error
    limits = tuple(_read_limits(found, ()))
    if not limits:
        raise InputError(f"the budget {path} sets no limit: write e.g. closed_loop.fps_min = 60")
    return limits


def _read_limits(found: Mapping[str, Any], above: tuple[str, ...]) -> list[Limit]:
    limits: list[Limit] = []
    for name, value in found.items():
        path = (*above, name)
        words = ".".join(path)
        if not above and name not in PARTS:
            raise InputError(
                f"the budget limits {words}, which no bench measures{_suggest(name, PARTS)}: "
                f"a limit begins with one of {', '.join(PARTS)}"
            )
        if isinstance(value, Mapping):
            limits += _read_limits(value, path)
            continue
        stem, _, kind = name.rpartition("_")
        if kind not in ("min", "max") or not stem:
            raise InputError(f"the limit {words} must end in _min or _max, as in fps_min")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"the limit {words} must be a number, found {value!r}")
        limits.append(Limit((*above, stem), kind == "min", float(value)))
    return limits


def check_budget(report: Mapping[str, Any], limits: tuple[Limit, ...]) -> list[str]:
    """Return one sentence for each limit that the report breaks.

    Raises `InputError` for a limit on what was not measured: it must not pass for kept.
    """
    broken = []
    for limit in limits:
        value = _find(report, limit)
        kept = value >= limit.bound if limit.at_least else value <= limit.bound
        if not kept:
            broken.append(f"{'.'.join(limit.path)} is {value:g}, the budget says {limit}")
    return broken


def _find(report: Mapping[str, Any], limit: Limit) -> float:
    here: Any = report
    for depth, name in enumerate(limit.path):
        if not isinstance(here, Mapping) or here.get(name) is None:
            words = ".".join(limit.path[: depth + 1])
            known = tuple(here) if isinstance(here, Mapping) else ()
            advice = "add --floor" if limit.path[0] == "floor" else "see --json for what there is"
            raise InputError(
                f"the budget limits {'.'.join(limit.path)}, but there is no {words} in this "
                f"report{_suggest(name, known)}: {advice}"
            )
        here = here[name]
    if isinstance(here, bool) or not isinstance(here, int | float):
        raise InputError(f"the budget limits {'.'.join(limit.path)}, which is no number")
    return float(here)


def _suggest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, [each for each in known if each != name], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
