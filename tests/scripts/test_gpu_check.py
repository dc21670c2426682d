"""The check of GPU engines, rehearsed on the CPU: its parts, its record, its clock."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from neurosono.scripts.gpu_check import engines, record
from neurosono.scripts.gpu_check.__main__ import main
from neurosono.scripts.gpu_check.measures import limit_ms, time_calls
from neurosono.scripts.gpu_check.record import Clock, Record
from tests.support.commands import wait_until


def test_a_rehearsal_compares_every_way_and_writes_all_of_it(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--seconds", "300", "--rehearse", "--only", "torch-cuda"]
    assert engines.main(words) == 0
    found = json.loads((tmp_path / "engines-torch-cuda.json").read_text())
    assert found["not_reached"] == []
    assert found["rehearsal"]
    for part in ("torch-cuda 2 f32", "torch-cuda 2 f32 branches", "torch-cuda 2 f32 grouped"):
        assert found[part]["parity"]["max_difference"] < 1e-3
        assert found[part]["frames"] > 0
        assert found[part]["limit_ms"] > 0
    assert found["operations_a_member"] > 1e6


def test_steps_share_the_time_and_one_that_fails_does_not_stop_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        begun.append(command)
        if "pipeline" in command[2]:
            raise subprocess.TimeoutExpired(command, 1)
        return subprocess.CompletedProcess(command, int("paper" in command[2]))

    monkeypatch.setattr(subprocess, "run", run)
    words = ["--steps", "pipeline", "paper", "engines", "--seconds", "90", "--workers", "2"]
    assert main([*words, "--data", "some", "--rehearse"]) == 1
    asked = [record.make_parser("", 1).parse_args(command[3:]) for command in begun]
    assert [each.seconds for each in asked] == [20, 40, 30]
    for each in asked:
        assert (each.workers, each.data, each.rehearse, each.only) == (2, Path("some"), True, None)
    assert "failed: ['pipeline', 'paper']" in capsys.readouterr().out


def test_a_failing_part_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    def fail() -> dict[str, object]:
        raise ValueError("no such thing")

    with Record(tmp_path, "step", Clock(600, time.monotonic())) as kept:
        assert kept.work.is_dir()
        kept.tell("first", {"half": 1})
        kept.attempt("first", 1, fail)
        kept.attempt("second", 1, lambda: {"ms": 3})
        assert kept.code == 1
        kept.attempt("third", 1000, lambda: {"ms": 4})
    assert not kept.work.exists()
    found = json.loads((tmp_path / "step.json").read_text())
    assert found["first"]["failed"] == "ValueError: no such thing"
    assert found["first"]["half"] == 1, "what was found before is kept"
    assert found["second"]["ms"] == 3
    assert found["not_reached"] == ["third"]


def test_a_step_that_a_part_holds_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, codes = threading.Event(), list[int]()
    monkeypatch.setattr(record, "GRACE_S", 0.0)
    monkeypatch.setattr(record, "end_family", lambda pid, but_itself: codes.append(pid))
    monkeypatch.setattr(os, "_exit", lambda code: (codes.append(code), ended.set()))
    with Record(tmp_path, "held", Clock(0.05, time.monotonic())) as held:
        held.attempt("part", -600, lambda: {"ended": ended.wait(120)})
    assert codes == [os.getpid(), 124]
    found = json.loads((tmp_path / "held.json").read_text())
    assert found["end"]["failed"] == "a part did not end in time"
    assert found["part"]["ended"]


def test_a_process_is_ended_with_its_children() -> None:
    parent = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    record.end_family(parent.pid)
    assert parent.wait(60) < 0
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


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
