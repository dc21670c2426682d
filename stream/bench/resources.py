"""What the processes of a session cost: CPU time and memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from neurosono.stream.processes.usage import Usage, read_usage

READ_EVERY_NS = 500_000_000
"""Pause between two readings of CPU and memory; one takes 0.3 ms."""
SHARE_EVERY = 16
"""Readings to one that also reads what memory is shared, which takes 4 to 12 ms."""


@dataclass(frozen=True)
class Reading:
    """All processes when `shown` pictures had been shown."""

    shown: int
    usages: Mapping[str, Usage]


def read_all(pids: Mapping[str, int], shown: int, *, share: bool = True) -> Reading:
    """Read every process that still runs; `share` as in `read_usage`."""
    found = {role: read_usage(pid, share=share) for role, pid in pids.items()}
    return Reading(shown, {role: usage for role, usage in found.items() if usage is not None})


class UsageReader:
    """Reads the processes now and then while pictures are shown."""

    def __init__(self) -> None:
        self._read_ns = 0

    def look(
        self, pids: Mapping[str, int], shown: int, now_ns: int, readings: list[Reading]
    ) -> None:
        """Add a reading to `readings`, if it is time for one."""
        if now_ns - self._read_ns < READ_EVERY_NS:
            return
        self._read_ns = now_ns
        share = len(readings) % SHARE_EVERY == 0  # the first comes before anything is measured
        readings.append(read_all(pids, shown, share=share))


def describe_usage(
    runs: Sequence[Sequence[Reading]], measured: Sequence[Sequence[Reading]]
) -> dict[str, Any]:
    """Return CPU milliseconds a picture and memory, of each process and of all together.

    CPU is that between the first and the last `measured` reading of a run, so start-up is not in
    it: the median of the runs, null where none has two readings. Memory is the most that any of
    the `runs` took, from their first reading to their last.
    """
    whole = [[reading for reading in run if reading.usages] for run in runs]
    costs = [cost for run in measured if (cost := measure_cpu_ms(run)) is not None]
    roles = dict.fromkeys(role for cost in costs for role in cost)
    cpu = {role: round(median(cost[role] for cost in costs if role in cost), 3) for role in roles}
    return {
        "cpu_ms_per_frame": cpu or None,
        "memory_mib": describe_memory([reading for run in whole for reading in run]),
    }


def measure_cpu_ms(readings: Sequence[Reading]) -> dict[str, float] | None:
    """Return CPU milliseconds a picture between the first and the last reading of one run.

    A process that ended before that, as a reader may that has read its last frame, counts between
    its own first and last.
    """
    readings = [reading for reading in readings if reading.usages]
    if len(readings) < 2 or readings[-1].shown <= readings[0].shown:
        return None
    costs = {}
    for role, begun in readings[0].usages.items():
        last = next(each for each in reversed(readings) if role in each.usages)
        frames = last.shown - readings[0].shown
        if frames > 0:
            costs[role] = (last.usages[role].cpu_s - begun.cpu_s) * 1e3 / frames
    others = sum(cost for role, cost in costs.items() if role != "engine")
    return costs | {"together": sum(costs.values()), "without_engine": others}


def describe_memory(readings: Sequence[Reading]) -> dict[str, Any] | None:
    """Return the most that all processes took together, and each one's resident MiB."""
    if not readings:
        return None
    sums = [sum(usage.own_mib for usage in reading.usages.values()) for reading in readings]
    known = [together for together in sums if not math.isnan(together)]
    # too short a run to have asked for shares: what each holds, shared pages counted twice
    known = known or [sum(usage.resident_mib for usage in r.usages.values()) for r in readings]
    resident = {
        role: max(each.usages[role].resident_mib for each in readings if role in each.usages)
        for role in dict.fromkeys(role for each in readings for role in each.usages)
    }
    return {
        "together": round(max(known), 1),
        "resident": {role: round(most, 1) for role, most in resident.items()},
    }
