"""`--student`: every frame through the student, the ensemble beside it, and who carries it."""

import shutil
from dataclasses import replace
from pathlib import Path

from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.contracts.preprocessing import Fit, PreprocessingSpec
from tests.support.clips import write_clip
from tests.support.commands import assert_adds_up, read_lines, run


def test_a_replay_asks_both_of_every_frame_and_says_who_carries(
    bundle_root: Path, student_root: Path, tmp_path: Path
) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 30), tmp_path / "out"
    done = run("replay", clip, "--bundle", bundle_root, "--student", student_root, "--out", out)
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(out)
    used = record["frames"]["used"]
    assert used > 20
    carried = record["carried_by"]
    assert carried["ensemble_frames"] == carried["student_frames"] == used
    assert carried["words"].split(";")[0] in ("student", f"ensemble, {used} of {used} frames")
    assert "carried by" in done.stderr
    assert record["student"]["sha256"] == Bundle.load(student_root).manifest.digest
    assert record["bundle"]["sha256"] == Bundle.load(bundle_root).manifest.digest
    assert (record["engine"]["members"], record["engine"]["ensemble"]["members"]) == (1, 2)
    lines = [line for line in read_lines(out) if line["used"]]
    assert [line["ensemble"]["seq"] for line in lines] == [line["seq"] for line in lines]


def test_a_student_that_does_not_fit_is_refused_before_anything_begins(
    bundle_root: Path, student_root: Path, tmp_path: Path
) -> None:
    student = shutil.copytree(student_root, tmp_path / "student")
    spec = PreprocessingSpec(size_px=64, fit=Fit.CENTER_CROP)
    write_manifest(student, replace(Bundle.load(student).manifest, preprocessing=spec))
    told = ("--bundle", bundle_root, "--student", student)
    for command in (
        ("replay", "phantom:normal?seconds=2", *told, "--out", tmp_path / "out"),
        ("live", "loop:phantom:normal", *told, "--no-page", "--journal", tmp_path / "j.sqlite"),
    ):
        done = run(*command)
        assert done.returncode == 2
        assert "other preprocessing" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "j.sqlite").exists()
