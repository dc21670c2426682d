"""The exam record: nothing that was shown is lost, nothing private enters, nobody waits for it."""

import csv
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.export import export_exam
from neurosono.stream.journal.journal import Clock, ExamJournal, Journal, JournalStatus
from neurosono.stream.journal.notebook import RING_BYTES
from neurosono.stream.journal.reader import Recorded
from neurosono.stream.journal.rebuild import rebuild_exam, verify_exam
from neurosono.stream.journal.retention import delete_exams, find_older, parse_age
from tests.support.records import ABOUT, STREAM, make_exam, make_results


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path) as opened:
        yield opened


def read(journal: Journal, exam: ExamJournal) -> list[Recorded]:
    with journal.read() as reader:
        return list(reader.results(exam.exam_id))


def events(journal: Journal, exam: ExamJournal) -> list[tuple[str, dict[str, Any]]]:
    with journal.read() as reader:
        return [(event.name, event.fields) for event in reader.events(exam.exam_id)]


def grep(folder: Path, needle: bytes) -> list[str]:
    return [file.name for file in folder.iterdir() if needle in file.read_bytes()]


def test_a_result_comes_back_as_it_went_in_with_both_times(path: Path) -> None:
    ticks, seconds = itertools.count(1000), itertools.count(1_700_000_000)
    clock = Clock(lambda: next(ticks), lambda: next(seconds) * 10**9)
    given_results = list(make_results(make_exam(), 20))
    with Journal.open(path, clock=clock) as journal:
        exam = journal.begin(ABOUT)
        assert all(exam.record(result) for result in given_results)
        found = read(journal, exam)
    assert [each.monotonic_ns for each in found] == list(range(1001, 1021))
    assert found[0].wall_ns == 1_700_000_002 * 10**9  # the id took one, the beginning another
    assert exam.exam_id.startswith("20231114-2213")
    for recorded, result in zip(found, given_results, strict=True):
        same = replace(result, cam=None, stage_ms={}, exam=result.exam)
        for name in ("probabilities", "member_probabilities"):
            a, b = getattr(recorded.result, name), getattr(same, name)
            assert (a is None) == (b is None)
            assert a is None or (a.dtype == b.dtype and a.tobytes() == b.tobytes())
        for name in ("probabilities", "low", "high"):
            a, b = getattr(recorded.result.exam, name), getattr(result.exam, name)
            np.testing.assert_array_equal(a, b)
        for name in ("prediction_set", "state", "used", "effective_frames", "skipped"):
            assert getattr(recorded.result.exam, name) == getattr(result.exam, name)
        for name in ("seq", "stream_id", "captured_ns", "pts_s", "skip_reason", "disagreement"):
            assert getattr(recorded.result, name) == getattr(result, name)
        assert recorded.result.stage_ms == pytest.approx(result.stage_ms, abs=5e-4)


def test_a_held_database_delays_nobody_and_is_told(path: Path) -> None:
    heard: list[JournalStatus] = []
    with Journal.open(path, on_status=heard.append) as journal:
        exam = journal.begin(ABOUT)
        assert journal.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            begun_s = time.monotonic()
            for result in make_results(make_exam(), 200):
                assert exam.record(result)
            assert time.monotonic() - begun_s < 2, "an hour of video would have stalled"
            assert not journal.flush()
            assert journal.status.fault == "locked"
            assert "another program" in journal.status.message
            assert not journal.status.healthy
            with pytest.raises(RunError, match="not in the journal yet"):
                rebuild_exam(journal, exam.exam_id)
            holder.execute("ROLLBACK")
        assert journal.flush()
        assert journal.status.healthy
        assert [status.fault for status in heard] == ["locked", None]
        assert len(read(journal, exam)) == 200
        ((name, fields),) = events(journal, exam)
    assert (name, fields["fault"]) == ("journal-held-up", "locked")
    assert fields["for_ms"] > 0


def test_a_full_disk_loses_nothing_that_fits_the_notebook(path: Path) -> None:
    with Journal.open(path, limit_bytes=256 * 1024) as journal:
        exam = journal.begin(ABOUT)
        for result in make_results(make_exam(), 1000):
            assert exam.record(result)
        assert not journal.flush()
        assert journal.status.fault == "full"
        closed = journal.close()
        assert closed.pending_bytes > 0
    with Journal.open(path) as journal:
        assert len(read(journal, exam)) == 1000
        assert verify_exam(journal, exam.exam_id).equal


def test_a_key_frame_larger_than_the_ring_is_kept(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    huge = np.zeros((RING_BYTES // 4096 + 1, 4096), np.uint8)
    assert exam.keep(1, huge, "key", stream_id=STREAM) is not None
    assert journal.flush(60.0)
    assert journal.tally(exam.exam_id).key_frames == 1


def test_what_there_is_no_room_for_is_told_in_the_record(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = journal.begin(ABOUT)
    monkeypatch.setattr("neurosono.stream.journal.notebook.WAITING_BYTES", 4096)
    assert exam.keep(1, np.zeros((64, 128), np.uint8), "key", stream_id=STREAM) is None
    assert journal.status.lost == 1
    assert not journal.status.healthy
    assert journal.status.trouble == "1 entries of this session are lost"
    exam.event("damage")
    assert events(journal, exam) == [("journal-lost", {"entries": 1}), ("damage", {})]


def test_no_free_text_enters_and_no_name_is_repeated_in_the_refusal(journal: Journal) -> None:
    exam, nothing = journal.begin(ABOUT), make_exam().snapshot()
    refused = [
        lambda: exam.event("Mueller"),
        lambda: exam.event("failed", {"role": "engine", "error": "cannot open Mueller.mp4"}),
        lambda: exam.event("failed", {"message": "Mueller"}),
        lambda: exam.event("opened", {"rate_hz": "Mueller"}),
        lambda: exam.event("opened", {"source": "Mueller, Anna"}),
        lambda: exam.state("ai", "Mueller"),
        lambda: exam.keep(1, np.zeros((4, 4), np.uint8), "Mueller", stream_id=STREAM),
        lambda: exam.keep(1, np.zeros((4, 4), np.uint8), "key", stream_id="Mueller"),
        lambda: exam.review("Mueller", "accept"),
        lambda: exam.record(Result("Mueller", 0, 0, 0.0, nothing, SkipReason.FROZEN)),
        lambda: exam.record(
            Result(STREAM, 0, 0, 0.0, nothing, SkipReason.FROZEN, stage_ms={"Mueller": 1.0})
        ),
        lambda: journal.begin(ABOUT, "Mueller"),
        lambda: journal.begin(ABOUT | {"patient": "Mueller"}),
        lambda: journal.begin(ABOUT | {"source": "Mueller"}),
    ]
    for attempt in refused:
        with pytest.raises(InputError):
            attempt()
    exam.end({"complete": False, "error": "cannot open Mueller.mp4", "source": "Mueller"})
    journal.flush()
    assert grep(journal.path.parent, b"Mueller") == []
    with pytest.raises(InputError) as told:
        exam.event("opened", {"source": "Mueller, Anna"})
    assert "Mueller" not in str(told.value)


def test_key_frames_are_kept_and_reviewed(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (40, 50), dtype=np.uint8)
    colour = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    heat = rng.random((7, 7)).astype(np.float32)
    first = exam.keep(3, grey, "quality", heatmap=heat, label="normal", stream_id=STREAM)
    second = exam.keep(9, colour, "key", stream_id=STREAM)
    assert first is not None
    assert second is not None
    exam.review(first, "reassign", "encephalocele")
    exam.review(second, "accept")
    with pytest.raises(InputError, match="reassign names the label"):
        exam.review(first, "reassign")
    with journal.read() as reader:
        one, two = reader.key_frames(exam.exam_id)
    assert (one.status, one.label, one.reason) == ("reassigned", "encephalocele", "quality")
    assert (two.status, two.label, two.seq, two.heat) == ("accepted", None, 9, None)
    assert one.pixels.tobytes() == grey.tobytes()
    assert two.pixels.tobytes() == colour.tobytes()
    assert one.heat is not None
    np.testing.assert_allclose(one.heat, heat, atol=1 / 255)
    assert [name for name, _ in events(journal, exam)] == ["kept", "kept", "reviewed", "reviewed"]


def test_a_deleted_exam_is_gone_from_every_file(journal: Journal) -> None:
    kept, gone = journal.begin(ABOUT), journal.begin(ABOUT)
    picture = np.random.default_rng(1).integers(0, 256, (60, 60), dtype=np.uint8)
    for exam in (kept, gone):
        for result in make_results(make_exam(), 50):
            exam.record(result)
    gone.keep(1, picture, "key")
    png = bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1])[60:120]
    journal.flush()
    assert grep(journal.path.parent, png)
    with pytest.raises(InputError, match="is running"):
        delete_exams(journal, [gone.exam_id])
    gone.end({})
    done = delete_exams(journal, [gone.exam_id])
    assert (done.exam_ids, done.scrubbed) == ((gone.exam_id,), True)
    assert grep(journal.path.parent, png) == []
    assert grep(journal.path.parent, gone.exam_id.encode()) == []
    assert len(read(journal, kept)) == 50
    gone.event("damage")  # what is still said of it reaches nobody, and is counted
    later = journal.begin(ABOUT)
    journal.flush()
    assert journal.status.refused == 1
    assert events(journal, later) == []


def test_only_old_exams_that_do_not_run_are_pruned(path: Path) -> None:
    day_ns = 86_400 * 10**9
    now = [100 * day_ns]
    with Journal.open(path, clock=Clock(wall_ns=lambda: now[0])) as journal:
        running, old = journal.begin(ABOUT), journal.begin(ABOUT)
        now[0] += day_ns
        old.end({})
        now[0] += 30 * day_ns
        journal.begin(ABOUT).end({})
        assert [e.exam_id for e in find_older(journal, parse_age("29d"), now[0])] == [old.exam_id]
        assert find_older(journal, parse_age("5w"), now[0]) == []
    with Journal.open(path) as journal:  # its process has ended, so it runs no more
        found = {each.exam_id for each in find_older(journal, parse_age("29d"), now[0])}
    assert found == {running.exam_id, old.exam_id}
    with pytest.raises(InputError, match="such as 30d"):
        parse_age("a month")


def test_an_exam_that_runs_elsewhere_is_not_taken_up(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    journal.flush()
    with Journal.open(journal.path) as other:
        with pytest.raises(InputError, match="is running in another process"):
            other.resume(exam.exam_id)
        exam.end({})
        journal.flush()
        with pytest.raises(InputError, match="has ended"):
            other.resume(exam.exam_id)
        with pytest.raises(InputError, match="take it up with"):
            other.begin(ABOUT, exam.exam_id)


def test_json_of_a_record_holds_no_nan(journal: Journal) -> None:
    from neurosono.stream.journal.describe import describe_record

    exam = journal.begin(ABOUT)
    with journal.read() as reader:
        record = describe_record(reader, exam.exam_id)
    assert json.loads(json.dumps(record, allow_nan=False))["probabilities"] is None


def test_what_the_gate_said_the_plain_mean_and_the_alarm_are_kept(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    (made,) = make_results(make_exam(), 1)
    snapshot = replace(made.exam, mean=np.linspace(0, 0.4, 5), alarm=True)
    said = {"gate": 0.91, "unfamiliarity": 0.3, "plane": "spine-sagittal"}
    exam.record(replace(made, exam=snapshot, **said))
    (recorded,) = read(journal, exam)
    found = recorded.result
    assert (found.gate, found.unfamiliarity, found.plane) == (0.91, 0.3, "spine-sagittal")
    assert found.exam.mean is not None
    assert np.array_equal(found.exam.mean, np.linspace(0, 0.4, 5))
    assert found.exam.alarm is True
    with pytest.raises(InputError, match="a plane's name must be like"):
        exam.record(replace(made, plane="Jane Doe"))


def test_an_export_has_the_gate_beside_the_frame(journal: Journal, tmp_path: Path) -> None:
    exam = journal.begin(ABOUT)
    (made,) = make_results(make_exam(), 1)
    exam.record(replace(made, gate=0.91, unfamiliarity=0.3, plane="spine-sagittal"))
    exam.end({})
    journal.flush()
    export_exam(journal, exam.exam_id, tmp_path / "exam.csv", "csv")
    with (tmp_path / "exam.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["gate"], row["unfamiliarity"], row["plane"]) == ("0.91", "0.3", "spine-sagittal")
    assert row["exam_alarm"] == "False"
    assert float(row["exam_mean_normal"]) == made.exam.probabilities[-1]
    export_exam(journal, exam.exam_id, tmp_path / "exam.json", "json")
    (told,) = json.loads((tmp_path / "exam.json").read_text())["results"]
    assert told["plane"] == "spine-sagittal"
    assert told["exam"]["alarm"] is False
