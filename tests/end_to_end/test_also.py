"""`--also`: bundles that read the same frames beside the first, each by itself."""

import json
from pathlib import Path
from typing import Any

import pytest

import neurosono
from neurosono.engine.bundle import Bundle
from tests.support.clips import write_clip
from tests.support.commands import assert_adds_up, child, read_lines, run, start, wait_until
from tests.support.regions import make_regions_bundle
from tests.support.structures import make_structures_bundle

SOURCE = "phantom:normal?seed=7&seconds=3"


@pytest.fixture(scope="module")
def structures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_structures_bundle(tmp_path_factory.mktemp("also") / "bundle", held_head=True)


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_regions_bundle(tmp_path_factory.mktemp("also") / "regions", held_head=True)


def assert_readings_add_up(record: dict[str, Any], name: str = "structures") -> dict[str, Any]:
    frames: dict[str, Any] = record["readings"][name]["frames"]
    assert frames["sampled"] == record["frames"]["sampled"]
    assert frames["sampled"] == frames["used"] + sum(frames["skipped"].values())
    return frames


def without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for line in lines:
        del line["ms"]
        for reading in line["readings"].values():
            del reading["ms"]
    return lines


def test_two_replays_read_alike_and_every_frame_is_accounted_for(
    bundle_root: Path, structures: Path, regions: Path, tmp_path: Path
) -> None:
    readers = ("--also", structures, "--also", regions)
    told = ("--bundle", bundle_root, *readers, "--mm-per-px", "0.2")
    records, lines = [], []
    for name in ("one", "two"):
        done = run("replay", SOURCE, *told, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        records.append(assert_adds_up(tmp_path / name))
        lines.append(without_times(read_lines(tmp_path / name)))
    assert lines[0] == lines[1]
    assert records[0]["readings"] == records[1]["readings"]
    kept = [sorted((tmp_path / name / "planes").iterdir()) for name in ("one", "two")]
    names = [f"{reader}-trans-ventricular.png" for reader in ("regions", "structures")]
    assert [path.name for path in kept[0]] == names
    for one, two in zip(*kept, strict=True):
        assert one.read_bytes() == two.read_bytes()
    waits = records[0]["readings"]["regions"]
    assert_readings_add_up(records[0], "regions")
    assert waits["planes"]["trans-ventricular"]["frames"] > 0
    assert waits["verdict"] is None
    assert waits["waiting_for"] == ["trans-cerebellum"]
    frames = assert_readings_add_up(records[0])
    assert frames["used"] > 20
    said = records[0]["readings"]["structures"]
    assert said["bundle"]["sha256"] == Bundle.load(structures, kind="structures").manifest.digest
    used = [line["readings"]["structures"] for line in lines[0]]
    assert sum(each["used"] for each in used) == frames["used"]
    read = next(each for each in used if each["used"] and each["head"])
    assert read["mm_per_px"] == 0.2
    assert read["hc_mm"] == pytest.approx(read["hc_px"] * 0.2, rel=1e-3)
    hc = said["measurements"]["hc_mm"]
    assert hc["low"] <= hc["value"] <= hc["high"]
    assert said["scale"]["source"] == "user"


def test_a_program_reads_what_a_replay_reads(
    bundle_root: Path, structures: Path, tmp_path: Path
) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 30), tmp_path / "out"
    told = ("--bundle", bundle_root, "--also", structures)
    assert run("replay", clip, *told, "--out", out).returncode == 0
    lines = without_times(read_lines(out))
    found = [result for _, result in neurosono.judge(clip, bundle_root, also=[structures])]
    assert len(found) == len(lines)
    for result, line in zip(found, lines, strict=True):
        said = result.readings["structures"]
        del said["ms"]
        assert json.loads(json.dumps(said)) == line["readings"]["structures"]
    exam = json.loads((out / "exam.json").read_bytes())["readings"]["structures"]
    last = json.loads(json.dumps(found[-1].exams_read["structures"]))
    assert last == {name: exam[name] for name in last}


def test_a_killed_reader_costs_its_own_rows_and_no_others(
    bundle_root: Path, structures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    source = "phantom:normal?seed=4&seconds=6&width=320&height=240"
    told = ("--bundle", bundle_root, "--also", structures, "--out", out)
    process = start("replay", source, *told)
    reader = child(process, "neurosono.stream.judge.reader")
    wait_until(lambda: (out / ".frames.jsonl.partial").is_file())
    wait_until(lambda: (out / ".frames.jsonl.partial").stat().st_size > 0)
    reader.kill()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 1, said
    assert "reads structures died (signal 9)" in " ".join(said.split())
    record = assert_adds_up(out)
    assert record["frames"]["decoded"] == 150
    assert "engine-off" not in record["frames"]["skipped"]
    assert assert_readings_add_up(record)["skipped"]["engine-off"] > 0
    assert record["complete"] is False


def test_in_real_time_a_killed_reader_is_started_again(
    bundle_root: Path, structures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    source = "phantom:normal?seed=4&seconds=12&width=320&height=240"
    told = ("--bundle", bundle_root, "--also", structures, "--out", out, "--realtime")
    process = start("replay", source, *told)
    reader = child(process, "neurosono.stream.judge.reader")
    wait_until(lambda: (out / ".frames.jsonl.partial").is_file())
    wait_until(lambda: (out / ".frames.jsonl.partial").stat().st_size > 0)
    reader.kill()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    record = assert_adds_up(out)
    frames = assert_readings_add_up(record)
    assert frames["skipped"]["engine-off"] > 0
    read = [line["seq"] for line in read_lines(out) if line["readings"]["structures"]["used"]]
    off = [
        line["seq"]
        for line in read_lines(out)
        if line["readings"]["structures"]["skip_reason"] == "engine-off"
    ]
    assert max(read) > min(off)


def test_two_bundles_of_one_name_are_refused(
    bundle_root: Path, structures: Path, tmp_path: Path
) -> None:
    told = ("--bundle", bundle_root, "--also", structures, "--also", structures)
    done = run("replay", SOURCE, *told, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "two bundles are named 'structures'" in " ".join(done.stderr.split())
    done = run("replay", SOURCE, "--bundle", structures, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "where a classifier is asked for" in " ".join(done.stderr.split())


def test_another_classifier_reads_beside_the_first(
    bundle_root: Path, student_root: Path, tmp_path: Path
) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 20), tmp_path / "out"
    told = ("--bundle", bundle_root, "--also", student_root, "--out", out)
    done = run("replay", clip, *told)
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(out)
    name = next(iter(record["readings"]))
    frames = assert_readings_add_up(record, name)
    assert frames["used"] > 10
    alone = tmp_path / "alone"
    assert run("replay", clip, "--bundle", student_root, "--out", alone).returncode == 0
    own = assert_adds_up(alone)
    assert record["readings"][name]["probabilities"] == own["probabilities"]
    assert record["readings"][name]["state"] == own["state"]
