"""What a process costs: CPU time and memory."""

import math
from dataclasses import dataclass

import psutil

MIB = 2.0**20


@dataclass(frozen=True)
class Usage:
    """One process at one moment.

    `cpu_s` is user and system time of all its threads since its start; `resident_mib` counts
    shared pages in full, `own_mib` (PSS) only its share of them; not a number where that was not
    asked for.
    """

    cpu_s: float
    resident_mib: float
    own_mib: float


def read_usage(pid: int, *, share: bool = True) -> Usage | None:
    """Read one process; None where it is gone.

    Its `share` of common pages is dear: the kernel walks all of its memory, for 1 to 4 ms.
    """
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        memory = process.memory_full_info() if share else process.memory_info()
    except psutil.Error:
        return None
    if memory.rss == 0:  # a zombie has no memory left
        return None
    own = getattr(memory, "pss", memory.rss) / MIB if share else math.nan
    return Usage(times.user + times.system, memory.rss / MIB, own)
