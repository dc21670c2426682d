"""An exam from its record: bit for bit, after a kill, and never one that was altered."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from neurosono.engine.contracts.errors import BundleError, RunError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.engine.exam.exam import Exam
from neurosono.stream.journal.journal import ExamJournal, Journal
from neurosono.stream.journal.notebook import Notebook
from neurosono.stream.journal.rebuild import rebuild_exam, verify_exam
from tests.support.records import ABOUT, STREAM, alter, make_exam, make_results


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path) as opened:
        yield opened


def events(journal: Journal, exam: ExamJournal) -> list[tuple[str, dict[str, Any]]]:
    with journal.read() as reader:
        return [(event.name, event.fields) for event in reader.events(exam.exam_id)]


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60), cut=st.integers(0, 60))
def test_a_rebuilt_exam_goes_on_bit_for_bit(path: Path, seed: int, count: int, cut: int) -> None:
    live = make_exam()
    with Journal.open(path) as journal:
        exam = journal.begin(ABOUT)
        for result in make_results(live, count, seed):
            exam.record(result)
        if cut % 2:  # a frame that no engine was there to judge
            snapshot = live.snapshot()
            unjudged = Result(STREAM, count, 1, 2.0, snapshot, SkipReason.ENGINE_OFF)
            exam.record(unjudged, judged=False)
            live.skip(SkipReason.ENGINE_OFF)
        rebuilt = rebuild_exam(journal, exam.exam_id)
        assert rebuilt.to_json() == live.to_json()
        again = list(make_results(rebuilt, count + cut, seed, count + 1))
        for there, here in zip(
            again, make_results(live, count + cut, seed, count + 1), strict=True
        ):
            exam.record(there)
            assert there.exam.probabilities.tobytes() == here.exam.probabilities.tobytes()
        verdict = verify_exam(journal, exam.exam_id)
    assert verdict.equal, verdict
    assert verdict.frames == count + cut % 2 + len(again)


@pytest.mark.parametrize("locked", [False, True])
def test_kill_9_loses_nothing_that_was_shown(path: Path, locked: bool) -> None:
    with Journal.open(path):
        pass
    command = [sys.executable, "-m", "tests.support.records", str(path)]
    holder = sqlite3.connect(path, isolation_level=None)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    exam_id = process.stdout.readline().strip()
    if locked:  # so that from here on nothing reaches the database before the kill
        holder.execute("PRAGMA busy_timeout=20000")
        holder.execute("BEGIN IMMEDIATE")
    shown = [int(process.stdout.readline()) for _ in range(400)]
    process.kill()
    shown += [int(line) for line in process.stdout.read().splitlines(keepends=True) if "\n" in line]
    process.wait()
    process.stdout.close()
    if locked:
        holder.execute("ROLLBACK")
    holder.close()
    assert list(path.parent.glob("*.ring"))
    with Journal.open(path) as journal:
        assert not list(path.parent.glob("*.ring"))
        with journal.read() as reader:
            found = [recorded.result.seq for recorded in reader.results(exam_id)]
            assert reader.exam(exam_id).condition == "interrupted"
        assert found == list(range(len(found))), "each once, in order"
        assert len(shown) <= len(found) <= len(shown) + 1, "one may be recorded, not yet shown"
        live = make_exam()
        for _ in make_results(live, len(found)):
            pass
        rebuilt = rebuild_exam(journal, exam_id)
        assert rebuilt.to_json() == live.to_json()
        resumed = journal.resume(exam_id)
        for result in make_results(rebuilt, len(found) + 50, first=len(found)):
            resumed.record(result)
        resumed.end({"complete": True})
        assert verify_exam(journal, exam_id).equal
        assert ("resumed", {"used": live.snapshot().used, "sampled": len(found)}) in events(
            journal, resumed
        )


def test_a_kill_between_commit_and_forgetting_repeats_nothing(path: Path) -> None:
    code = (
        "import sys, tests.stream.journal.test_journal_rebuild as t; t.die_committing(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == 9
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM result").fetchone()[0] == 5
    assert list(path.parent.glob("*.ring")), "all of it stands in the notebook still"
    with Journal.open(path) as journal, journal.read() as reader:
        (exam,) = reader.exams()
        assert exam.sampled == 5
        assert [event.fields for event in reader.events(exam.exam_id)] == [{}]


def die_committing(path: str) -> None:
    """Say all before the first commit can be; die as soon as that is done."""
    take, said = Notebook.take, threading.Event()
    Notebook.take = lambda *asked: take(*asked) if said.is_set() else []  # type: ignore[method-assign]
    Notebook.forget = lambda *_: os._exit(9)  # type: ignore[method-assign]
    journal = Journal.open(Path(path))
    exam = journal.begin(ABOUT)
    for result in make_results(make_exam(), 5):
        exam.record(result)
    exam.event("damage")
    said.set()
    journal.flush()


def test_an_exam_with_missing_results_is_not_taken_up(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    for result in make_results(make_exam(), 30):
        exam.record(result)
    journal.flush()
    tamper(journal.path, "DELETE FROM result WHERE id = 4")
    with pytest.raises(RunError, match="begin a new exam"):
        rebuild_exam(journal, exam.exam_id)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda exam: {"used": exam.used + 1}, "used"),
        (lambda exam: {"prediction_set": exam.prediction_set[1:]}, "prediction_set"),
        (lambda exam: {"skipped": exam.skipped | {"doppler": 1}}, "skipped"),
        (lambda exam: {"low": np.nextafter(exam.low, 1.0)}, "lower bounds"),
    ],
)
def test_a_record_that_was_altered_is_noticed(
    journal: Journal, change: Callable[[ExamSnapshot], dict[str, Any]], what: str
) -> None:
    exam = record_thirty(journal)
    alter(
        journal.path,
        9,
        lambda result: replace(result, exam=replace(result.exam, **change(result.exam))),
    )
    expect_altered(journal, exam.exam_id, what)


def test_one_bit_of_a_frame_is_noticed(journal: Journal) -> None:
    exam = record_thirty(journal)

    def nudge(result: Result) -> Result:
        assert result.probabilities is not None
        return replace(result, probabilities=np.nextafter(result.probabilities, 1.0))

    alter(journal.path, 9, nudge)
    expect_altered(journal, exam.exam_id, "probabilities")


def record_thirty(journal: Journal) -> ExamJournal:
    exam = journal.begin(ABOUT)
    results = list(make_results(make_exam(), 30))
    assert results[9].used
    for result in results:
        exam.record(result)
    assert verify_exam(journal, exam.exam_id).equal
    return exam


def expect_altered(journal: Journal, exam_id: str, what: str) -> None:
    verdict = verify_exam(journal, exam_id)
    assert not verdict.equal
    assert verdict.differing == 1
    assert verdict.first == 9
    assert what in verdict.what


def test_another_bundle_is_refused(journal: Journal, bundle_root: Path) -> None:
    from neurosono.engine.bundle import Bundle
    from neurosono.stream.journal.words import describe_bundle

    bundle = Bundle.load(bundle_root)
    other, own = journal.begin(ABOUT), journal.begin(describe_bundle(bundle))
    with pytest.raises(BundleError, match="name the bundle of that exam"):
        rebuild_exam(journal, other.exam_id, bundle)
    assert rebuild_exam(journal, own.exam_id, bundle).to_json() == (
        Exam(bundle.manifest.labels, bundle.calibration).to_json()
    )
