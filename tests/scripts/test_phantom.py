"""`phantom` with structures, as a user runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.main import app
from neurosono.scripts.phantom import VENTRICLES, parse_range


def test_structures_lie_beside_each_clip(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", "--out", str(out), "--exams", "1", "--seconds", "0.4", "--structures"]
    result = CliRunner().invoke(app, [*words, "--ventricle-mm", "7:9"])
    assert result.exit_code == 0, result.output
    (clip,) = out.glob("*/*/clip_01.mp4")
    told = json.loads(clip.with_suffix(".structures.json").read_text())
    assert 7 <= told["ventricle_mm"] <= 9
    assert len(told["frames"]) == 10


@pytest.mark.parametrize("text", ["wide", "5:", "5:6:7", ""])
def test_a_width_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="as 12 or 5:20"):
        parse_range(text, VENTRICLES)


def test_a_range_or_one_width() -> None:
    assert parse_range("5:20", VENTRICLES) == (5, 20)
    assert parse_range("12", VENTRICLES) == (12, 12)
