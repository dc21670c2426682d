"""What cannot be used is refused in one sentence, with exit code 2 and nothing left behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neurosono.stream.replay.files import lock_folder
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.run import replay
from tests.support.clips import write_clip
from tests.support.commands import assert_adds_up, read_record, run
from tests.support.disks import disk_with

PHANTOM = "phantom:normal?seed=1&seconds=1"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def refuse(out: Path, *arguments: str | Path, code: int = 2) -> str:
    """Run a replay that must be refused; returns the one sentence."""
    done = run("replay", *arguments, "--out", out)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists(), "a refused replay must not leave its folder"
    return " ".join(done.stderr.split())


def test_no_such_file(bundle_root: Path, tmp_path: Path) -> None:
    said = refuse(tmp_path / "out", tmp_path / "absent.mp4", "--bundle", bundle_root)
    assert "absent.mp4" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mp4", b""),
        ("zeros.mp4", bytes(5000)),
        ("text.mp4", b"this is no video\n" * 50),
        ("text.dcm", b"neither is this DICOM\n" * 50),
        ("text.png", b"nor a picture"),
    ],
)
def test_a_file_that_holds_no_picture(
    name: str, content: bytes, bundle_root: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    said = refuse(tmp_path / "out", tmp_path / name, "--bundle", bundle_root)
    assert name in said


def test_a_clip_cut_off_before_its_first_picture(
    clip: Path, bundle_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:300])
    said = refuse(tmp_path / "out", tmp_path / "cut.mp4", "--bundle", bundle_root)
    assert "cut.mp4" in said


def test_a_folder_without_clips(bundle_root: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    said = refuse(tmp_path / "out", tmp_path / "folder", "--bundle", bundle_root)
    assert "folder" in said


@pytest.mark.parametrize(
    "source", ["phantom:spina?seed=1", "phantom:normal?seed=x", "phantom:normal?seconds=0"]
)
def test_a_phantom_that_cannot_be(source: str, bundle_root: Path, tmp_path: Path) -> None:
    refuse(tmp_path / "out", source, "--bundle", bundle_root)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--every", "0"], "--every must be 1 or more"),
        (["--fps", "-1"], "--fps must be above 0"),
        (["--every", "2", "--fps", "3"], "one of the two"),
        (["--region", "1,2,3"], "x,y,w,h"),
        (["--mm-per-px", "20"], "millimetres per pixel must be 0.01 to 2"),
        (["--engine", "cuda"], "choose one of"),
        (["--precision", "int4"], "no precision 'int4': choose one of"),
        (["--precision", "bf16"], "no engine openvino bf16"),
        (["--members", "9"], "--members 9 asked for, but the bundle has 2"),
        (["--cam-hz", "-1"], "--cam-hz must be"),
        (["--threads", "-1"], "--threads must be"),
    ],
)
def test_options_that_cannot_be(
    options: list[str], words: str, bundle_root: Path, tmp_path: Path
) -> None:
    assert words in refuse(tmp_path / "out", PHANTOM, "--bundle", bundle_root, *options)


def test_the_package_as_a_command_ends_with_the_same_code(tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "neurosono", "replay", "nosuch.mp4", "--out", str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "there is no 'nosuch.mp4'" in done.stderr


def test_bundles_that_cannot_be_trusted(bundle_root: Path, tmp_path: Path) -> None:
    assert "no bundle at" in refuse(tmp_path / "o", PHANTOM, "--bundle", tmp_path / "absent")
    broken = tmp_path / "bundle"
    shutil.copytree(bundle_root, broken)
    (broken / "calibration.json").unlink()
    assert "misses calibration.json" in refuse(tmp_path / "o", PHANTOM, "--bundle", broken)
    (broken / "calibration.json").write_text("{}")
    assert "not what its manifest says" in refuse(tmp_path / "o", PHANTOM, "--bundle", broken)
    manifest = json.loads((broken / "manifest.json").read_text())
    (broken / "manifest.json").write_text(json.dumps(manifest | {"schema": "other/7"}))
    assert "schema must be" in refuse(tmp_path / "o", PHANTOM, "--bundle", broken)


def test_a_place_that_is_a_file(bundle_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("replay", PHANTOM, "--bundle", bundle_root, "--out", tmp_path / "file")
    assert done.returncode == 2
    assert "cannot write to" in done.stderr


@pytest.mark.parametrize("pace", [[], ["--realtime"]], ids=["lossless", "realtime"])
def test_a_broken_clip_keeps_what_came_before(
    pace: list[str], clip: Path, bundle_root: Path, tmp_path: Path
) -> None:
    longer = write_clip(tmp_path / "long.mkv", pictures=120)
    whole = longer.read_bytes()
    longer.write_bytes(whole[: int(len(whole) * 0.6)])
    out = tmp_path / "out"
    done = run("replay", clip, longer, "--bundle", bundle_root, "--out", out, *pace)
    assert done.returncode == 1, done.stderr
    record = assert_adds_up(out)
    assert record["complete"] is False
    decoded = record["frames"]["decoded"]
    assert 20 < decoded < 140
    assert record["broken_at_frame"] == decoded
    assert str(decoded) in done.stderr
    assert record["probabilities"] is not None


def test_a_disk_that_fills_up_leaves_nothing_that_looks_whole(
    bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with disk_with(60_000):
        done = run(
            "replay", "phantom:normal?seed=1&seconds=3", "--bundle", bundle_root, "--out", out
        )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert not out.exists() or not any(out.iterdir())


def test_an_unfinished_run_does_not_pass_for_the_one_before(
    bundle_root: Path, tmp_path: Path
) -> None:
    done = run("replay", PHANTOM, "--bundle", bundle_root, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    before = read_record(tmp_path)
    again = run("replay", tmp_path / "absent.mp4", "--bundle", bundle_root, "--out", tmp_path)
    assert again.returncode == 2
    assert read_record(tmp_path) == before


def test_a_source_is_never_written_over(clip: Path, bundle_root: Path, tmp_path: Path) -> None:
    source = tmp_path / "overlay.mp4"
    shutil.copy(clip, source)
    before = source.read_bytes()
    for given in (source, tmp_path):
        done = run("replay", given, "--bundle", bundle_root, "--out", tmp_path)
        assert done.returncode == 2
        assert "among the sources" in " ".join(done.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.mp4"]
    assert source.read_bytes() == before


def test_a_folder_belongs_to_one_replay_at_a_time(bundle_root: Path, tmp_path: Path) -> None:
    descriptor = lock_folder(tmp_path)
    done = run("replay", PHANTOM, "--bundle", bundle_root, "--out", tmp_path)
    assert done.returncode == 2
    assert "another replay is writing" in " ".join(done.stderr.split())
    os.close(descriptor)


def test_what_lies_in_the_current_folder_is_not_run(
    clip: Path, bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('run as code')")
    monkeypatch.chdir(tmp_path)
    options = ReplayOptions((str(clip),), tmp_path / "out", bundle=str(bundle_root))
    assert replay(options)["complete"] is True


def test_a_report_that_could_not_be_written_stops_before_the_work(
    bundle_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "exam.json"
    said = refuse(tmp_path / "out", PHANTOM, "--bundle", bundle_root, "--json", place)
    assert "choose another --json" in said
