"""Verdicts about two reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.compare import compare_reports, judge_ratio, read_report
from neurosono.stream.bench.measures import Ratio


def report(
    fps: list[float], age_ms: float = 10.0, floor_fps: float | None = None
) -> dict[str, Any]:
    ages = [{"p50": age_ms, "p99": 2 * age_ms}] * len(fps)
    found: dict[str, Any] = {
        "schema": "x/1",
        "closed_loop": {"rounds_fps": fps},
        "open_loop": {"rounds_age_ms": ages, "rounds_answer_age_ms": ages},
        "host": {"processor": "p", "cores": "2"},
        "source": "s",
    }
    if floor_fps is not None:
        floor_ages = [{"p50": 1000 / floor_fps, "p99": 2000 / floor_fps}] * len(fps)
        found["floor"] = {"rounds_fps": [floor_fps] * len(fps), "rounds_age_ms": floor_ages}
    return found


def verdicts(comparison: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in comparison["metrics"]}


def test_runs_in_turns_are_compared_pair_by_pair() -> None:
    new = report([110.0, 55.0, 220.0])
    new["rival"] = report([100.0, 50.0, 200.0])
    found = compare_reports(new, report([1.0]))
    assert found["basis"] == "in turns"
    assert verdicts(found)["closed_loop_fps"] == "better"
    assert verdicts(found)["age_p50"] == "no difference shown"
    assert found["verdict"] == "better"


def test_apart_the_floor_of_each_run_stands_between() -> None:
    faster_machine = report([200.0] * 4, age_ms=5.0, floor_fps=400.0)
    found = compare_reports(faster_machine, report([100.0] * 4, age_ms=10.0, floor_fps=200.0))
    assert found["basis"] == "floor"
    assert found["verdict"] == "no difference shown"
    assert "not run again" in found["cautions"][0]


def test_without_a_floor_a_faster_machine_looks_like_progress_and_that_is_said() -> None:
    found = compare_reports(report([200.0] * 3), report([100.0] * 3))
    assert found["basis"] == "raw"
    assert any("looks like progress" in each for each in found["cautions"])


def test_slower_and_older_is_worse() -> None:
    found = compare_reports(
        report([80.0, 81.0, 79.0], age_ms=12.0), report([100.0, 101.0, 99.0], age_ms=10.0)
    )
    assert set(verdicts(found).values()) == {"worse"}
    assert found["verdict"] == "worse"


def test_one_round_cannot_tell() -> None:
    found = compare_reports(report([80.0]), report([100.0]))
    assert found["verdict"] == "cannot tell"
    assert "no interval" in found["cautions"][0]


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (Ratio(1.10, 1.05, 1.15, 9), "better"),
        (Ratio(0.90, 0.85, 0.95, 9), "worse"),
        (Ratio(1.10, 0.99, 1.20, 9), "no difference shown"),
        (Ratio(1.01, 1.005, 1.02, 9), "no difference shown"),
        (Ratio(1.10, None, None, 2), "cannot tell"),
    ],
)
def test_a_verdict_needs_an_interval_off_one(ratio: Ratio, verdict: str) -> None:
    assert judge_ratio(ratio, more_is_better=True) == verdict


def test_another_file_is_no_older_report(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    for text in ("{", "[]", json.dumps({"schema": "other/1"})):
        path.write_text(text)
        with pytest.raises(InputError):
            read_report(path, "x/1")
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path / "absent", "x/1")
