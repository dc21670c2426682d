"""Journals of older releases: brought up whole, bit for bit, or left as they are."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.pair import Carried, Carrier, EnsembleAnswer
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.notebook import Notebook
from neurosono.stream.journal.rebuild import verify_exam
from neurosono.stream.journal.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES
from tests.support.records import ABOUT, STREAM, make_exam, make_results

EXAM = "20260101-120000-abcdef"
STREAMS = "CREATE TABLE stream (id INTEGER PRIMARY KEY, exam INTEGER NOT NULL REFERENCES exam \
ON DELETE CASCADE, name TEXT NOT NULL, UNIQUE (exam, name)) STRICT"
RESULTS = "CREATE TABLE result (id INTEGER PRIMARY KEY, exam INTEGER NOT NULL REFERENCES exam \
ON DELETE CASCADE, stream INTEGER NOT NULL REFERENCES stream ON DELETE CASCADE, \
seq INTEGER NOT NULL, monotonic_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, \
captured_ns INTEGER NOT NULL, pts_s REAL NOT NULL, judged INTEGER NOT NULL, skip_reason TEXT, \
members BLOB, probabilities BLOB, disagreement REAL, stage_ms TEXT NOT NULL, \
exam_arrays BLOB NOT NULL, exam_set INTEGER NOT NULL, exam_state TEXT NOT NULL, \
exam_used INTEGER NOT NULL, exam_effective REAL NOT NULL, exam_skipped TEXT NOT NULL"
SINCE_2 = ", gate REAL, unfamiliarity REAL, plane TEXT, exam_mean BLOB, \
exam_alarm INTEGER NOT NULL DEFAULT 0"
SINCE_3 = ", ensemble_seq INTEGER, ensemble_members BLOB, exam_carried TEXT"
COLUMNS = {1: 19, 2: 24, 3: 27}


def make_older(path: Path, version: int, results: list[Result]) -> None:
    """Write a journal as a release of schema `version` wrote it."""
    since = (" result", " reading")
    kept = [part for part in TABLES.split(";") if not any(name in part for name in since)]
    said = RESULTS + SINCE_2 * (version > 1) + SINCE_3 * (version > 2) + ") STRICT"
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (*kept, STREAMS, said, "CREATE INDEX result_of_exam ON result (exam)"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={version}")
        about = (EXAM, json.dumps(ABOUT))
        connection.execute("INSERT INTO exam VALUES (7,?,?,'gone',1,2,3,4,'{}')", about)
        connection.execute("INSERT INTO stream VALUES (3, 7, ?)", (STREAM,))
        marks = ",?" * COLUMNS[version]
        for result in results:
            row = describe_older(result)[: COLUMNS[version]]
            connection.execute(f"INSERT INTO result VALUES (NULL{marks})", row)


def describe_older(result: Result) -> tuple[object, ...]:
    exam, answer = result.exam, result.ensemble
    chosen = sum(1 << ABOUT["labels"].index(label) for label in exam.prediction_set)
    members, frame = result.member_probabilities, result.probabilities
    said = None if answer is None else answer.probabilities
    return (
        *(7, 3, result.seq, 10 + result.seq, 20 + result.seq, result.captured_ns, result.pts_s, 1),
        result.skip_reason,
        *(None if blob is None else blob.tobytes() for blob in (members, frame)),
        *(result.disagreement, json.dumps(result.stage_ms)),
        np.stack((exam.probabilities, exam.low, exam.high)).tobytes(),
        *(chosen, exam.state, exam.used, exam.effective_frames, json.dumps(exam.skipped)),
        *(result.gate, result.unfamiliarity, result.plane),
        *(None if exam.mean is None else exam.mean.tobytes(), int(exam.alarm)),
        *(None if answer is None else answer.seq, None if said is None else said.tobytes()),
        None if exam.carried is None else msgspec.json.encode(exam.carried).decode(),
    )


def flatten(value: object) -> object:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, msgspec.Struct):
        return {name: flatten(part) for name, part in msgspec.structs.asdict(value).items()}
    return value


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_journal_is_brought_up_bit_for_bit(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.sqlite"
    given = [replace(each, cam=None) for each in make_results(make_exam(), 40)]
    if version > 1:
        mean = np.linspace(0, 0.4, 5)
        exam = replace(given[20].exam, mean=mean, alarm=True)
        given[20] = replace(given[20], exam=exam, gate=0.75, unfamiliarity=0.25, plane="spine")
    if version > 2:
        answer = EnsembleAnswer(19, np.full((3, 5), 0.2, np.float32))
        exam = replace(given[21].exam, carried=Carried(Carrier.STUDENT, 2, agrees=False))
        given[21] = replace(given[21], exam=exam, ensemble=answer)
        given[22] = replace(given[22], ensemble=EnsembleAnswer(20, None))
    make_older(path, version, given)
    with Journal.open(path) as journal:
        with journal.read() as reader:
            found = list(reader.results(EXAM))
            exam_then = reader.exam(EXAM)
        assert [flatten(each.result) for each in found] == [flatten(each) for each in given]
        assert [(each.monotonic_ns, each.wall_ns) for each in found] == [
            (10 + seq, 20 + seq) for seq in range(40)
        ]
        assert exam_then.sampled == 40
        assert exam_then.used == given[-1].exam.used
        assert verify_exam(journal, EXAM).differing == (version > 2)  # the exam 21 that we altered
        exam_now = journal.begin(ABOUT)
        for result in make_results(make_exam(), 3):
            exam_now.record(result)
        assert verify_exam(journal, exam_now.exam_id).frames == 3
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert {"older", "stream"} & names == set()
    assert "result_of_exam" in names


def test_an_older_journal_that_cannot_be_read_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    make_older(path, 3, list(make_results(make_exam(), 9)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE result SET exam_state = 'elated' WHERE seq = 5")
    with pytest.raises(InputError, match="the journal's result 6 is not readable"):
        Journal.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 3
        assert connection.execute("SELECT count(exam_state) FROM result").fetchone()[0] == 9


def test_an_older_journal_is_not_taken_from_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    make_older(path, 3, list(make_results(make_exam(), 9)))
    writing = Notebook.create(tmp_path / "journal.sqlite-notes-0123.ring", 4096)
    with pytest.raises(InputError, match="an older release is writing to it"):
        Journal.open(path)
    writing.close()
    with Journal.open(path) as journal, journal.read() as reader:
        assert reader.exam(EXAM).sampled == 9
