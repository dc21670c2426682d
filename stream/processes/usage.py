"""What a process costs: CPU time and memory, read from Linux's /proc."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


_KB = re.compile(r"^(VmRSS|VmHWM|Pss):\s+(\d+) kB", re.MULTILINE)


MIB = 1024.0


@dataclass(frozen=True)
class Usage:
    """One process at one moment.

    `cpu_s` is user and system time of all its threads since its start; `resident_mib` and
    `peak_mib` count shared pages in full, `own_mib` (PSS) only its share of them; not a number
    where that was not asked for.
    """

    cpu_s: float
    resident_mib: float
    peak_mib: float
    own_mib: float


def read_usage(pid: int, *, share: bool = True) -> Usage | None:
    """Read one process; None where it is gone or this is no Linux.

    Its `share` of common pages is dear: the kernel walks all of its memory, for 1 to 4 ms.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
        status: dict[str, str] = dict(_KB.findall((PROC / str(pid) / "status").read_text()))
        walked = (PROC / str(pid) / "smaps_rollup").read_text() if share else ""
    except (OSError, IndexError):
        return None
    if "VmRSS" not in status:  # a zombie has no memory left
        return None
    rollup: dict[str, str] = dict(_KB.findall(walked))
    ticks = int(fields[11]) + int(fields[12])
    resident = int(status["VmRSS"]) / MIB
    return Usage(
        cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
        resident_mib=resident,
        peak_mib=int(status.get("VmHWM", status["VmRSS"])) / MIB,
        own_mib=int(rollup["Pss"]) / MIB if "Pss" in rollup else resident if share else math.nan,
    )
