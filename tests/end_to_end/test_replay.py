"""The main job on the three real processes, by the command that users run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import write_clip
from tests.support.commands import PHANTOM, assert_adds_up, read_lines, read_record, run


def strip_times(out: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "ms"} for line in read_lines(out)]


def test_every_frame_is_accounted_for(replayed: Path) -> None:
    record = assert_adds_up(replayed)
    assert record["frames"]["decoded"] == 100
    assert record["frames"]["dropped"] == 0
    assert sorted(path.name for path in replayed.iterdir()) == [
        "exam.json",
        "frames.jsonl",
        "overlay.mp4",
    ]


def test_the_exam_is_the_mean_of_its_lines(replayed: Path) -> None:
    record, lines = read_record(replayed), read_lines(replayed)
    used = [line["probabilities"] for line in lines if line["used"]]
    for label in record["labels"]:
        mean = sum(each[label] for each in used) / len(used)
        assert record["probabilities"][label] == pytest.approx(mean, abs=1e-12)
    assert record["prediction"] == max(record["probabilities"], key=record["probabilities"].get)
    assert record["complete"] is True
    assert "not for diagnosis" in record["notice"]


def test_two_runs_differ_in_nothing_but_time(
    replayed: Path, bundle_root: Path, tmp_path: Path
) -> None:
    done = run("replay", PHANTOM, "--bundle", bundle_root, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert strip_times(tmp_path) == strip_times(replayed)
    first, second = read_record(replayed), read_record(tmp_path)
    for record in (first, second):
        record.pop("latency_ms")
    assert first == second


def test_a_replay_imports_no_torch(bundle_root: Path, tmp_path: Path) -> None:
    done = run(
        "replay",
        "phantom:normal?seed=1&seconds=1",
        "--bundle",
        bundle_root,
        "--out",
        tmp_path,
        env={"PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert {
        "openvino",
        "neurosono.stream.capture.process",
        "neurosono.stream.judge.worker",
        "neurosono.stream.replay.run",
    } <= imported | {
        "neurosono.stream.capture.process",
        "neurosono.stream.judge.worker",
    }
    assert {
        "neurosono.stream.screen.follow",
        "neurosono.engine.backends.openvino",
    } <= imported  # the children report too
    assert not {name for name in imported if name.split(".")[0] in ("torch", "torchvision", "nncf")}


@pytest.mark.parametrize(
    ("options", "sampled"),
    [(["--every", "10"], 10), (["--fps", "5"], 20), (["--every", "80"], 2)],
)
def test_sampling(options: list[str], sampled: int, bundle_root: Path, tmp_path: Path) -> None:
    done = run("replay", PHANTOM, "--bundle", bundle_root, "--out", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(tmp_path)
    assert record["frames"]["decoded"] == 100
    assert record["frames"]["sampled"] == sampled


def test_real_time_counts_every_drop(bundle_root: Path, tmp_path: Path) -> None:
    source = "phantom:normal?seed=5&seconds=3&fps=60"
    done = run("replay", source, "--bundle", bundle_root, "--out", tmp_path, "--realtime")
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(tmp_path)
    frames = record["frames"]
    assert frames["decoded"] == 180
    # every picture is sampled but those that a newer one replaced before capture was free
    assert frames["dropped"] >= 180 - frames["sampled"] >= 0


def test_several_clips_are_one_exam(bundle_root: Path, tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"clip{n}.mp4", pictures=12, seed=n) for n in range(2)]
    out = tmp_path / "out"
    done = run("replay", *clips, "--bundle", bundle_root, "--out", out, "--every", "4")
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(out)
    assert record["frames"]["decoded"] == 24
    assert record["frames"]["sampled"] == 6
    times = [line["pts_s"] for line in read_lines(out)]
    assert times == sorted(set(times))


def test_the_users_scale_stands_in_every_line(bundle_root: Path, tmp_path: Path) -> None:
    source = "phantom:normal?seed=2&seconds=1"
    asked = ("--out", tmp_path, "--mm-per-px", "0.2", "--no-video")
    done = run("replay", source, "--bundle", bundle_root, *asked)
    assert done.returncode == 0, done.stderr
    said = {(line["mm_per_px"], line["mm_per_px_from"]) for line in read_lines(tmp_path)}
    assert said == {(0.2, "user")}


def test_the_json_report_goes_to_standard_output_alone(bundle_root: Path, tmp_path: Path) -> None:
    done = run(
        *("replay", "phantom:normal?seed=2&seconds=1", "--bundle", bundle_root),
        *("--out", tmp_path, "--json", "-"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == read_record(tmp_path)


def test_the_torch_engine_agrees_with_openvino(
    replayed: Path, bundle_root: Path, tmp_path: Path
) -> None:
    done = run(
        *("replay", PHANTOM, "--bundle", bundle_root, "--out", tmp_path),
        *("--engine", "torch", "--every", "10"),
    )
    assert done.returncode == 0, done.stderr
    by_time = {line["pts_s"]: line for line in read_lines(replayed)}
    compared = 0
    for line in read_lines(tmp_path):
        other = by_time[line["pts_s"]]["probabilities"]
        if line["probabilities"] and other:
            compared += 1
            for label, probability in line["probabilities"].items():
                assert probability == pytest.approx(other[label], abs=1e-3)
    assert compared >= 5


def test_the_same_names_no_file_of_the_users(bundle_root: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "Doe_Jane_1990.mp4", pictures=6)
    done = run("replay", clip, "--bundle", bundle_root, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"Doe_Jane" not in written
