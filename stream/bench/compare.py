"""Whether a report is better or worse than an older one, as far as the two can tell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.measures import MIN_PAIRS, Ratio, compare_groups, compare_pairs

MARGIN = 0.03
"""A difference below 3 % is not called one: less than a change of the code's alignment makes."""


@dataclass(frozen=True)
class Metric:
    """One measured thing of a round, and whether more of it is better."""

    name: str
    more_is_better: bool


METRICS = (
    Metric("closed_loop_fps", more_is_better=True),
    Metric("age_p50", more_is_better=False),
    Metric("age_p99", more_is_better=False),
    Metric("answer_age_p50", more_is_better=False),
    Metric("answer_age_p99", more_is_better=False),
)


def read_report(path: Path, schema: str) -> dict[str, Any]:
    """Read an older report; raises `InputError` where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--compare {path} cannot be read: {reason}") from error
    if not isinstance(found, dict) or found.get("schema") != schema:
        raise InputError(f"{path} is no report of this bench: expected the schema {schema}")
    return found


def compare_reports(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return a verdict for every metric that both reports have.

    Where `new` ran the old settings in turns with its own (`new["rival"]`), rounds are paired.
    Otherwise the two were measured at different times, maybe on different machines, and are
    compared by their ratios to the floor, or the network, of their own runs; raw if they have none.
    """
    rival = new.get("rival")
    if rival is not None:
        basis = "in turns"
        rows = [_judge_paired(metric, new, rival) for metric in METRICS]
    else:
        basis = _find_basis(new, old)
        rows = [_judge_apart(metric, new, old, basis) for metric in METRICS]
    found = [row for row in rows if row is not None]
    return {
        "basis": basis,
        "verdict": _sum_up(found),
        "metrics": found,
        "cautions": _list_cautions(new, old, basis),
    }


def _find_basis(new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    if new.get("floor") and old.get("floor"):
        return "floor"
    if new.get("network_floor") and old.get("network_floor"):
        return "network"
    return "raw"


def _judge_paired(
    metric: Metric, new: Mapping[str, Any], rival: Mapping[str, Any]
) -> dict[str, Any] | None:
    ours, theirs = _rounds_of(metric, new), _rounds_of(metric, rival)
    pairs = min(len(ours), len(theirs))
    return _describe(metric, compare_pairs(ours[:pairs], theirs[:pairs]))


def _judge_apart(
    metric: Metric, new: Mapping[str, Any], old: Mapping[str, Any], basis: str
) -> dict[str, Any] | None:
    return _describe(
        metric, compare_groups(_normalise(metric, new, basis), _normalise(metric, old, basis))
    )


def _normalise(metric: Metric, report: Mapping[str, Any], basis: str) -> list[float]:
    """Return a metric's rounds, each divided by that of the yardstick in the same round.

    The network's floor is a rate: it makes rates comparable, and with its inverse ages.
    """
    ours = _rounds_of(metric, report)
    if basis == "raw":
        return ours
    if basis == "network":
        rates_hz = [float(each) for each in report["network_floor"]["rounds_fps"]]
        by = rates_hz if metric.more_is_better else [1e3 / each for each in rates_hz]
    elif metric.more_is_better:
        by = [float(each) for each in report["floor"]["rounds_fps"]]
    else:
        by = _levels(report["floor"]["rounds_age_ms"], metric.name.rpartition("_")[2])
    return [a / b for a, b in zip(ours, by, strict=False) if b > 0]


def _rounds_of(metric: Metric, report: Mapping[str, Any]) -> list[float]:
    if metric.name == "closed_loop_fps":
        return [float(each) for each in report["closed_loop"]["rounds_fps"]]
    name, _, level = metric.name.rpartition("_")
    return _levels(report["open_loop"].get(f"rounds_{name}_ms", []), level)


def _levels(summaries: Sequence[Mapping[str, float] | None], level: str) -> list[float]:
    return [float(each[level]) for each in summaries if each]


def _describe(metric: Metric, ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    verdict = judge_ratio(ratio, more_is_better=metric.more_is_better)
    return {"name": metric.name, **ratio.to_json(), "verdict": verdict}


def judge_ratio(ratio: Ratio, *, more_is_better: bool) -> str:
    """Return `better`, `worse`, `no difference shown` or `cannot tell` for new over old."""
    if ratio.low is None or ratio.high is None:
        return "cannot tell"
    if ratio.low <= 1.0 <= ratio.high or abs(ratio.median - 1.0) < MARGIN:
        return "no difference shown"
    return "better" if (ratio.median > 1.0) == more_is_better else "worse"


def _sum_up(rows: Sequence[Mapping[str, Any]]) -> str:
    verdicts = {str(row["verdict"]) for row in rows}
    if "worse" in verdicts:
        return "mixed" if "better" in verdicts else "worse"
    for verdict in ("better", "no difference shown"):
        if verdict in verdicts:
            return verdict
    return "cannot tell"


def _list_cautions(new: Mapping[str, Any], old: Mapping[str, Any], basis: str) -> list[str]:
    """Say what this comparison cannot tell."""
    cautions = []
    rounds = min(len(each["closed_loop"]["rounds_fps"]) for each in (new, old))
    if rounds < MIN_PAIRS:
        cautions.append(f"fewer than {MIN_PAIRS} rounds on one side: no interval can be given")
    if basis == "in turns":
        return cautions
    cautions.append(
        "the older program was not run again: only its report was there, so what the machine did "
        "at the time is not paired with what it does now"
    )
    if basis == "raw":
        cautions.append("the two have no floor in common, so a faster machine looks like progress")
    differ = [name for name in ("source", "bundle", "engine") if new.get(name) != old.get(name)]
    cautions += [f"the two differ in their {name}" for name in differ]
    if _machine(new) != _machine(old):
        cautions.append("the two were measured on different machines")
    return cautions


def _machine(report: Mapping[str, Any]) -> tuple[Any, Any]:
    host = report.get("host", {})
    return host.get("processor"), host.get("cores")
