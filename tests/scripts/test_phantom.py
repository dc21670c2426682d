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


def test_a_cohort_parts_at_a_width_and_holds_its_plane(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", "--out", str(out), "--counts", "normal=8", "--structures", "--seed", "4"]
    words += ["--ventricle-mm", "5:20", "--cut-mm", "10", "--weeks", "19:24", "--fps", "5"]
    words += ["--plane", "transventricular", "--seconds", "0.4"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    clips = sorted(out.glob("*/*/clip_01.mp4"))
    assert len(clips) == 8
    assert {clip.parts[-3] for clip in clips} == {"normal", "ventriculomegaly"}
    for clip in clips:
        told = json.loads(clip.with_suffix(".structures.json").read_text())
        assert (told["ventricle_mm"] >= 10) == (clip.parts[-3] == "ventriculomegaly")
        assert 19 <= told["gestational_weeks"] <= 24
        assert [each["plane"] for each in told["frames"]] == ["trans-ventricular"] * 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--cut-mm", "10"], "give --ventricle-mm"),
        (["--weeks", "19:19.2"], "span 0.5 or"),
        (["--weeks", "5:30"], "phantoms are of 11 to 38 weeks"),
        (["--plane", "coronal"], "choose one of transventricular"),
    ],
)
def test_a_cohort_that_cannot_be_is_refused(more: list[str], said: str, tmp_path: Path) -> None:
    words = ["phantom", "--out", str(tmp_path / "no"), "--counts", "normal=1", *more]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
    assert not (tmp_path / "no").exists()
