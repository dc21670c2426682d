"""`phantom` with structures, as a user runs it."""

import csv
import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.scripts.commands import make_app
from neurosono.scripts.phantom import VENTRICLES, parse_pairs, parse_range


def test_structures_lie_beside_each_clip(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", "--out", str(out), "--exams", "1", "--seconds", "0.4", "--structures"]
    result = CliRunner().invoke(make_app(), [*words, "--ventricle-mm", "7:9"])
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
    result = CliRunner().invoke(make_app(), words)
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
    result = CliRunner().invoke(make_app(), words)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
    assert not (tmp_path / "no").exists()


def test_pairs_have_both_planes_and_their_truth(tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    words = ["phantom", "--out", str(out), "--pairs", "1:1", "--seed", "3"]
    result = CliRunner().invoke(make_app(), words)
    assert result.exit_code == 0, result.output
    table = list(csv.DictReader((out / "pairs.csv").read_text().splitlines()))
    assert [row["label"] for row in table].count("abnormal") == 2
    assert {row["plane"] for row in table} == {"trans-ventricular", "trans-cerebellum"}
    for row in table:
        assert 19 <= float(row["gestational_weeks"]) < 24
        assert (row["finding"] == "none") == (row["label"] == "normal")
        picture = cv2.imread(str(out / row["path"]))
        told = json.loads((out / row["path"]).with_suffix(".structures.json").read_text())
        assert told["plane"] == row["plane"]
        assert [told["height_px"], told["width_px"]] == list(picture.shape[:2])
    again = CliRunner().invoke(make_app(), words)
    assert isinstance(again.exception, OutputError)
    assert "not empty" in str(again.exception)


@pytest.mark.parametrize("text", ["218", "a:b", "1:2:3", "-1:4", ""])
def test_pairs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="as 218:101"):
        parse_pairs(text)
