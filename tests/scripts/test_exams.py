"""`neurosono exams` as a user meets it."""

import csv
import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import BundleError, InputError, NeurosonoError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.scripts.exams import exams_app
from neurosono.stream.journal.journal import Clock, Journal
from neurosono.stream.keep.clips import clip_folder
from tests.support.records import ABOUT, STREAM, alter, make_exam, make_results

FRAMES = 40
HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def exam_id(path: Path) -> str:
    """Return the id of an exam that was recorded and ended 40 days ago."""
    wall_ns = time.time_ns() - 40 * 86_400 * 10**9
    with Journal.open(path, clock=Clock(wall_ns=lambda: wall_ns)) as journal:
        exam = journal.begin(ABOUT)
        for result in make_results(make_exam(), FRAMES):
            exam.record(result)
        kept = exam.keep(3, np.zeros((8, 9), np.uint8), "key", label="normal", stream_id=STREAM)
        assert kept is not None
        exam.review(kept, "accept")
        exam.end({"complete": True, "frames": {"decoded": 60, "dropped": 0}})
    return exam.exam_id


@pytest.fixture
def running(path: Path) -> Iterator[str]:
    with Journal.open(path) as journal:
        exam = journal.begin(ABOUT)
        journal.flush()
        yield exam.exam_id


def call(path: Path, *words: str) -> Any:
    return CliRunner().invoke(exams_app, [*words, "--journal", str(path)])


def ask(path: Path, *words: str) -> Any:
    done = call(path, *words, "--json", "-")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def assert_refused(done: Any, error: type[NeurosonoError], why: str) -> None:
    assert isinstance(done.exception, error)
    assert done.exception.exit_code == 2
    assert why in str(done.exception)


def test_list_names_every_exam_the_newest_first(path: Path, exam_id: str, running: str) -> None:
    new, old = ask(path, "list")["exams"]
    assert (new["exam"], new["condition"], new["label"]) == (running, "running", None)
    assert (old["exam"], old["condition"], old["frames"]["sampled"]) == (exam_id, "ended", FRAMES)
    assert old["label"] in ABOUT["labels"]
    shown = call(path, "list").stderr
    assert exam_id in shown
    assert NOTICE in shown


def test_a_machine_without_exams_has_none(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = CliRunner().invoke(exams_app, ["list", "--json", "-"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"exams": []})
    assert not list(tmp_path.iterdir()), "looking makes nothing"
    assert_refused(call(path, "list"), InputError, "nothing has been recorded there")
    assert_refused(call(path, "show", "2"), InputError, "nothing has been recorded there")


def test_show_has_the_result_and_all_that_was_recorded(path: Path, exam_id: str) -> None:
    record = ask(path, "show", exam_id[:10])
    live = make_exam()
    results = list(make_results(live, FRAMES))
    snapshot = live.snapshot()
    assert list(record["probabilities"].values()) == snapshot.probabilities.tolist()
    assert record["state"] == snapshot.state
    assert record["frames"] == {
        "decoded": 60,
        "displayed": None,
        "dropped": 0,
        "sampled": FRAMES,
        "used": snapshot.used,
        "skipped": snapshot.skipped,
    }
    assert record["events"] == {"kept": 1, "reviewed": 1}
    assert record["latency_ms"]["network"]["max"] == pytest.approx(
        max(result.stage_ms.get("network", 0) for result in results), abs=1e-3
    )
    shown = " ".join(call(path, "show", exam_id).stderr.split())
    for word in ("95 % interval", "accepted", f"{snapshot.used} used", NOTICE):
        assert word in shown


def test_an_unclear_id_is_refused(path: Path, exam_id: str, running: str) -> None:
    assert_refused(call(path, "show", "9"), InputError, "no exam begins with '9'")
    assert_refused(call(path, "show", "2"), InputError, "2 exams begin with '2'")


def test_replay_says_whether_the_record_holds(path: Path, exam_id: str, bundle_root: Path) -> None:
    assert ask(path, "replay", exam_id)["equal"] is True
    assert "the same, bit for bit" in call(path, "replay", exam_id).stderr
    other = call(path, "replay", exam_id, "--bundle", str(bundle_root))
    assert_refused(other, BundleError, "name the bundle of that exam")
    alter(path, 5, lambda made: replace(made, exam=replace(made.exam, used=1 + made.exam.used)))
    done = call(path, "replay", exam_id)
    assert done.exit_code == 1
    assert "NOT the same" in done.stderr
    assert "frame 5: used" in done.stderr


def test_export_json_and_csv(path: Path, exam_id: str, tmp_path: Path) -> None:
    whole, rows = tmp_path / "exam.json", tmp_path / "exam.csv"
    assert call(path, "export", exam_id, "--out", str(whole), "--pictures").exit_code == 0
    assert call(path, "export", exam_id, "--out", str(rows)).exit_code == 0
    found = json.loads(whole.read_text())
    assert found["notice"] == NOTICE
    assert found["about"] == ABOUT
    assert [each["seq"] for each in found["results"]] == list(range(FRAMES))
    assert found["key_frames"][0]["picture_png"].startswith("iVBOR")
    live = list(make_results(make_exam(), FRAMES))
    with rows.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line, each, result in zip(lines, found["results"], live, strict=True):
        assert (line["used"] == "True") == each["used"] == result.used
        assert line["notice"] == NOTICE
        if result.probabilities is not None:
            assert float(line["p_normal"]) == result.probabilities[-1]
            assert list(each["probabilities"].values()) == result.probabilities.tolist()
        else:
            assert line["p_normal"] == ""
            assert line["skip_reason"] == result.skip_reason == each["skip_reason"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "exam.csv",
        "exam.json",
        "journal.sqlite",
    ]


@pytest.mark.skipif(not HAS_PYARROW, reason="pyarrow is not installed: the extra `parquet`")
def test_export_parquet(path: Path, exam_id: str, tmp_path: Path) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    out = tmp_path / "exam.parquet"
    assert call(path, "export", exam_id, "--out", str(out)).exit_code == 0
    table = parquet.read_table(out)
    assert table.schema.metadata[b"notice"] == NOTICE.encode()
    expected = [
        None if result.probabilities is None else result.probabilities[-1]
        for result in make_results(make_exam(), FRAMES)
    ]
    assert table.column("p_normal").to_pylist() == expected
    assert table.column("seq").to_pylist() == list(range(FRAMES))


@pytest.mark.skipif(HAS_PYARROW, reason="pyarrow is installed")
def test_without_pyarrow_the_extra_is_named(path: Path, exam_id: str, tmp_path: Path) -> None:
    done = call(path, "export", exam_id, "--out", str(tmp_path / "exam.parquet"))
    assert_refused(done, InputError, "neurosono[parquet]")
    assert not (tmp_path / "exam.parquet").exists()


def test_an_export_that_cannot_be_written_leaves_nothing(path: Path, exam_id: str) -> None:
    nowhere = path.parent / "absent" / "exam.csv"
    assert_refused(
        call(path, "export", exam_id, "--out", str(nowhere)), NeurosonoError, "cannot write"
    )
    odd = call(path, "export", exam_id, "--out", str(path.parent / "exam.txt"))
    assert_refused(odd, InputError, "the format must be one of")
    assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]


def test_delete_asks_first(path: Path, exam_id: str, running: str) -> None:
    assert_refused(call(path, "delete", exam_id), InputError, "say --yes")
    assert_refused(call(path, "delete", running, "--yes"), InputError, "is running")
    assert call(path, "delete", exam_id, "--yes").exit_code == 0
    assert [each["exam"] for each in ask(path, "list")["exams"]] == [running]


def test_prune_takes_the_old_ones_only(path: Path, exam_id: str, running: str) -> None:
    assert ask(path, "prune", "--older-than", "41d", "--yes")["exams"] == []
    assert ask(path, "prune", "--older-than", "30d", "--dry-run")["exams"] == [exam_id]
    assert len(ask(path, "list")["exams"]) == 2
    assert_refused(call(path, "prune", "--older-than", "30d"), InputError, "say --yes")
    assert_refused(call(path, "prune", "--older-than", "soon"), InputError, "such as 30d")
    assert ask(path, "prune", "--older-than", "30d", "--yes")["exams"] == [exam_id]
    assert [each["exam"] for each in ask(path, "list")["exams"]] == [running]


def test_clips_go_with_their_exam(path: Path, exam_id: str, running: str) -> None:
    for each in (exam_id, running):
        (clip_folder(path) / each).mkdir(parents=True)
        (clip_folder(path) / each / "0123456789ab.mp4").touch()
    assert call(path, "delete", exam_id, "--yes").exit_code == 0
    assert [folder.name for folder in clip_folder(path).iterdir()] == [running]
