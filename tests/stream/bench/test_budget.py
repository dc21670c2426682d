"""Limits in TOML."""

from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.budget import check_budget, read_budget

REPORT: dict[str, Any] = {
    "closed_loop": {"fps": 55.0, "memory_mib": {"together": 400.0}},
    "open_loop": {"age_ms": {"p50": 9.0, "p99": 70.0}, "drops": {"pictures": 0}, "glass": None},
    "floor": None,
}


def write(folder: Path, text: str) -> Path:
    path = folder / "budget.toml"
    path.write_text(text)
    return path


def test_limits_that_are_kept_are_silent_and_others_are_named(tmp_path: Path) -> None:
    kept = "closed_loop.fps_min = 50\nopen_loop.drops.pictures_max = 0\n"
    assert check_budget(REPORT, read_budget(write(tmp_path, kept))) == []
    text = "closed_loop.fps_min = 60\n[open_loop.age_ms]\np50_max = 10\np99_max = 60.5\n"
    broken = check_budget(REPORT, read_budget(write(tmp_path, text)))
    assert broken == [
        "closed_loop.fps is 55, the budget says closed_loop.fps >= 60",
        "open_loop.age_ms.p99 is 70, the budget says open_loop.age_ms.p99 <= 60.5",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("closed_lop.fps_min = 1", "did you mean 'closed_loop'"),
        ("closed_loop.fps = 1", "must end in _min or _max"),
        ("closed_loop.fps_min = 'x'", "must be a number"),
        ("closed_loop.fps_min = true", "must be a number"),
        ("", "sets no limit"),
        ("fps_min = [", "cannot be read"),
    ],
)
def test_what_is_no_limit_is_refused_before_anything_runs(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words.replace("(", "\\(")):
        read_budget(write(tmp_path, text))
    with pytest.raises(InputError, match="cannot be read"):
        read_budget(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("floor.fps_min = 1", "add --floor"),
        ("open_loop.age_ms.p98_max = 1", "did you mean 'p99'"),
        ("open_loop.glass.unreadable_max = 0", "there is no open_loop.glass"),
        ("open_loop.age_ms_max = 1", "is no number"),
    ],
)
def test_a_limit_on_what_was_not_measured_does_not_pass(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        check_budget(REPORT, read_budget(write(tmp_path, text)))
