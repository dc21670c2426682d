"""What is done to the journal's files in the middle of an exam: told, and nothing shown is lost."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from neurosono.stream.journal.journal import ExamJournal, Journal
from neurosono.stream.journal.notebook import Notebook
from neurosono.stream.journal.reader import Tally
from neurosono.stream.journal.ring import PREFACE
from tests.support.commands import wait_until
from tests.support.records import ABOUT, STREAM, make_exam, make_results

TOLD_S = 30.0
"""How long a busy host may take to notice; without load it is under a second."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path) as opened:
        yield opened


def record(exam: ExamJournal, count: int) -> None:
    for result in make_results(make_exam(), count):
        assert exam.record(result)


def await_trouble(journal: Journal, words: str) -> None:
    wait_until(lambda: words in journal.status.trouble, TOLD_S)


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.sqlite"))


def unmount(path: Path) -> None:
    """Take the whole folder away and leave an empty one, as an unmounted disk does."""
    path.parent.rename(path.parent.with_name("away"))
    path.parent.mkdir()


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("fault", [delete, move, unmount])
def test_a_journal_that_is_taken_away_is_told(
    journal: Journal, path: Path, fault: Callable[[Path], None]
) -> None:
    exam = journal.begin(ABOUT)
    record(exam, 10)
    assert journal.flush()
    assert journal.status.trouble == ""
    fault(path)
    await_trouble(journal, "put it back")
    record(exam, 10)
    assert not journal.flush(0.5)
    assert journal.tally(exam.exam_id) == Tally()
    assert not path.exists(), "no empty journal takes its place"


@pytest.mark.parametrize("fault", [move, unmount])
def test_a_journal_that_comes_back_gets_all_of_it(
    journal: Journal, path: Path, fault: Callable[[Path], None]
) -> None:
    exam = journal.begin(ABOUT)
    record(exam, 10)
    assert journal.flush()
    fault(path)
    await_trouble(journal, "put it back")
    record(exam, 10)
    if fault is move:
        path.with_name("elsewhere.sqlite").rename(path)
    else:
        path.parent.rmdir()
        path.parent.with_name("away").rename(path.parent)
    wait_until(lambda: journal.status.fault is None, TOLD_S)
    assert journal.flush()
    assert journal.tally(exam.exam_id).results == 20
    assert journal.status.trouble == ""


def test_a_deleted_log_costs_nothing(journal: Journal, path: Path) -> None:
    exam = journal.begin(ABOUT)
    record(exam, 10)
    assert journal.flush()
    delete_log(path)
    await_trouble(journal, "put it back") if journal.status.trouble else None
    record(exam, 10)
    wait_until(lambda: journal.flush(0.2) and journal.tally(exam.exam_id).results == 20, TOLD_S)


def test_another_file_in_its_place_is_not_written(journal: Journal, path: Path) -> None:
    exam = journal.begin(ABOUT)
    record(exam, 10)
    assert journal.flush()
    move(path)
    path.with_name(f"{path.name}-wal").unlink()
    Journal.open(path).close()
    await_trouble(journal, "put it back")
    record(exam, 10)
    assert not journal.flush(0.5)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM exam").fetchone()[0] == 0


def test_sixty_key_frames_wait_for_a_lock_and_all_of_them_are_recorded(
    journal: Journal, path: Path
) -> None:
    exam = journal.begin(ABOUT)
    assert journal.flush()
    picture = np.zeros((720, 1280, 3), np.uint8)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for seq in range(60):
            assert exam.keep(seq, picture, "quality", stream_id=STREAM) is not None
        record(exam, 70)
        await_trouble(journal, "another program")
        holder.execute("ROLLBACK")
    assert journal.flush(120.0)
    assert journal.tally(exam.exam_id) == Tally(70, 60)
    assert journal.status.lost == 0


def overwrite(ring: Path) -> None:
    with ring.open("r+b") as file:
        file.write(os.urandom(PREFACE + 100_000))


def cut(ring: Path) -> None:
    os.truncate(ring, 1000)


def take_away(ring: Path) -> None:
    ring.unlink()


@pytest.mark.parametrize("fault", [overwrite, cut, take_away])
def test_what_is_done_to_the_ring_costs_nothing_and_the_session_ends(
    journal: Journal, path: Path, fault: Callable[[Path], None]
) -> None:
    exam = journal.begin(ABOUT)
    assert journal.flush()
    (ring,) = path.parent.glob("*.ring")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        record(exam, 20)
        fault(ring)
        record(exam, 20)
        holder.execute("ROLLBACK")
    assert journal.flush(60.0)
    assert journal.tally(exam.exam_id).results == 40
    if fault is not overwrite:  # made anew: what is said next outlives a kill again
        wait_until(lambda: ring.is_file() and ring.stat().st_size > 1000, TOLD_S)
    assert journal.close().pending_bytes == 0
    assert not list(path.parent.glob("*.ring"))


def leave_ring(path: Path, count: int) -> Path:
    """Leave what a killed process leaves of an exam of which nothing is in the database."""
    journal = Journal.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        exam = journal.begin(ABOUT)
        record(exam, count)
        assert journal.close().pending_bytes > 0
        holder.execute("ROLLBACK")
    (ring,) = path.parent.glob("*.ring")
    return ring


def test_noise_in_a_ring_that_was_left_costs_what_it_hit_and_is_told(path: Path) -> None:
    ring = leave_ring(path, 100)
    data = bytearray(ring.read_bytes())
    at = data.index(STREAM.encode(), len(data.rstrip(b"\0")) // 2)
    data[at : at + 50] = os.urandom(50)
    ring.write_bytes(data)
    with Journal.open(path) as journal:
        (left,) = journal.unread
        assert left.stat().st_size > 50
        with journal.read() as reader:
            (exam,) = reader.exams()
        assert exam.sampled == 99, "those behind it are read in"
    assert not ring.exists()


@pytest.mark.parametrize("size", [0, 7, PREFACE, 5000])
def test_a_ring_that_was_cut_is_told_and_no_more(path: Path, size: int) -> None:
    ring = leave_ring(path, 20)
    os.truncate(ring, size)
    with Journal.open(path) as journal:
        assert [left.name for left in journal.unread] == [f"{ring.name}.unread"]
    assert not ring.exists()
    with Journal.open(path) as journal:
        assert journal.unread == ()


def test_a_notebook_whose_maker_was_killed_is_swept(path: Path) -> None:
    Journal.open(path).close()
    left = path.with_name(f"{path.name}-notes-0123.new")
    left.write_bytes(bytes(100))
    Journal.open(path).close()
    assert not left.exists()


def test_what_waits_beyond_the_ring_at_the_end_is_read_in_next_time(path: Path) -> None:
    journal = Journal.open(path)
    picture = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        exam = journal.begin(ABOUT)
        for seq in range(5):
            assert exam.keep(seq, picture, "quality", stream_id=STREAM) is not None
        record(exam, 5)
        assert journal.close().lost == 0
        assert len(list(path.parent.glob("*.ring"))) == 2
        holder.execute("ROLLBACK")
    with Journal.open(path) as journal:
        assert journal.unread == ()
        assert journal.tally(exam.exam_id) == Tally(5, 5)
    assert not list(path.parent.glob("*.ring"))


def test_a_notebook_says_for_how_long_its_oldest_entry_waits(tmp_path: Path) -> None:
    notebook = Notebook.create(tmp_path / "a.ring", 4096)
    assert notebook.said_ns is None
    before_ns = time.monotonic_ns()
    notebook.append(b"one")
    notebook.append(b"two")
    said_ns = notebook.said_ns
    assert said_ns is not None
    assert before_ns <= said_ns <= time.monotonic_ns()
    notebook.forget(notebook.take(4096))
    assert notebook.said_ns is None
    notebook.close()


def test_an_entry_that_the_database_cannot_hold_costs_no_other(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    first, *others = make_results(make_exam(), 4)
    assert exam.record(first)
    assert exam.keep(2**63, np.zeros((8, 8), np.uint8), "key") is not None
    assert all(exam.record(result) for result in others)
    assert journal.flush(TOLD_S)
    tally = journal.tally(exam.exam_id)
    assert (tally.results, tally.key_frames) == (4, 0)
    assert journal.status.refused == 1
    assert "1 entries of this session are lost" in journal.status.trouble
