"""The check of GPU engines, rehearsed on the CPU: its parts, its record, its clock."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurosono.scripts.gpu_check.measures import limit_ms, time_calls
from neurosono.scripts.gpu_check.record import Record


def test_a_rehearsal_compares_every_way_and_writes_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "neurosono.scripts.gpu_check", "--steps", "engines"]
    command += ["--out", str(tmp_path), "--seconds", "60", "--rehearse", "--only", "torch-cuda"]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    found = json.loads((tmp_path / "engines-torch-cuda.json").read_text())
    assert found["not_reached"] == []
    for part in ("torch-cuda 2 f32", "torch-cuda 2 f32 branches", "torch-cuda 2 f32 grouped"):
        assert found[part]["parity"]["max_difference"] < 1e-3
        assert found[part]["frames"] > 0
        assert found[part]["limit_ms"] > 0
    assert found["operations_a_member"] > 1e6


def test_a_failing_part_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    def fail() -> dict[str, object]:
        raise ValueError("no such thing")

    record = Record(tmp_path, "step", 30)
    record.attempt("first", 1, fail)
    record.attempt("second", 1, lambda: {"ms": 3})
    record.attempt("third", 1000, lambda: {"ms": 4})
    found = json.loads((tmp_path / "step.json").read_text())
    assert found["first"]["failed"] == "ValueError: no such thing"
    assert found["second"]["ms"] == 3
    assert found["not_reached"] == ["third"]


def test_the_limit_is_the_larger_of_reading_and_computing() -> None:
    ceilings = {"copy_gb_per_s": 1000.0, "fp16_tflop_per_s": 100.0, "f32_tflop_per_s": 10.0}
    assert limit_ms(ceilings, 10**9, 1e9, "fp16")["limit_ms"] == pytest.approx(2.0)
    assert limit_ms(ceilings, 10**9, 1e9, "f32")["limit_ms"] == pytest.approx(4.0)
    assert limit_ms(ceilings, 1000, 1e12, "fp16")["limit_ms"] == pytest.approx(10.0)


def test_slow_calls_are_fewer_and_their_number_is_said() -> None:
    begun_s = time.monotonic()
    found = time_calls(lambda _: time.sleep(0.01), 10**9, 0.1)
    assert 1 <= found["frames"] < 10**4
    assert found["p50_ms"] >= 10
    assert time.monotonic() - begun_s < 60
