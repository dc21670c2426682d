"""CPU and memory of real processes."""

import os
import subprocess
import sys

import psutil
import pytest

from neurosono.stream.bench.resources import (
    READ_EVERY_NS,
    Reading,
    UsageReader,
    describe_memory,
    measure_cpu_ms,
)
from neurosono.stream.processes.usage import Usage, read_usage

NOBODY = 2**22 + 1
"""Linux gives no process a higher number than 2**22."""


def test_this_process_reads_as_others_read_it() -> None:
    usage = read_usage(os.getpid())
    assert usage is not None
    other = psutil.Process()
    times = other.cpu_times()
    assert usage.cpu_s == pytest.approx(times.user + times.system, abs=0.2)
    assert usage.resident_mib == pytest.approx(other.memory_info().rss / 2**20, rel=0.1)
    assert 0 < usage.own_mib <= usage.resident_mib * 1.01


def test_a_process_that_is_gone_reads_as_none() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert read_usage(done.pid) is None


def test_processes_are_read_now_and_then_and_a_lost_one_is_left_out() -> None:
    readings: list[Reading] = []
    usage, pids = UsageReader(), {"display": os.getpid(), "engine": NOBODY}
    for shown in range(10):
        usage.look(pids, shown, shown * READ_EVERY_NS // 2 + READ_EVERY_NS, readings)
    assert [each.shown for each in readings] == [0, 2, 4, 6, 8]
    assert all(set(each.usages) == {"display"} for each in readings)


def read(shown: int, **cpu_s: float) -> Reading:
    return Reading(shown, {role: Usage(spent, 50, 40) for role, spent in cpu_s.items()})


def test_cpu_is_counted_between_the_readings() -> None:
    costs = measure_cpu_ms([read(10, display=1.0, engine=5.0), read(110, display=1.2, engine=6.0)])
    assert costs == pytest.approx(
        {"display": 2.0, "engine": 10.0, "together": 12.0, "without_engine": 2.0}
    )
    ended = [read(10, display=1.0, reader=3.0), read(60, display=1.1, reader=3.5)]
    costs = measure_cpu_ms([*ended, read(110, display=1.2)])  # a reader that was done sooner
    assert costs is not None
    assert costs["reader"] == pytest.approx(10.0)
    assert costs["display"] == pytest.approx(2.0)
    found = describe_memory([*ended, read(110, display=1.2)])
    assert found is not None
    assert set(found["resident"]) == {"display", "reader"}
    assert measure_cpu_ms([read(10, display=1.0)]) is None
    assert measure_cpu_ms([read(10, display=1.0), read(10, display=2.0)]) is None


def test_memory_together_is_each_ones_own_share() -> None:
    found = describe_memory([read(1, display=0.0), read(2, display=0.0, engine=0.0)])
    assert found == {
        "together": 80,
        "resident": {"display": 50, "engine": 50},
    }
    assert describe_memory([]) is None
