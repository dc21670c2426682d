"""A live exam whose record is taken away: the screen says RECORD OFF, and the end what is lost."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from neurosono.stream.journal.journal import Journal
from tests.reliability.test_live import SOURCE, Session, session, source
from tests.stream.journal.test_faults import delete, move, unmount
from tests.support.commands import start, wait_until

__all__ = ["session", "source"]

GRACE_S = 180


def find_off(screen: Any, moment: float) -> float | None:
    """Return how long after `moment` the screen first said RECORD OFF, seconds."""
    for at, status in list(screen.said):
        if at >= moment and not status["record"]["on"]:
            return float(at - moment)
    return None


@pytest.mark.parametrize("fault", [delete, move])
def test_the_screen_says_record_off(session: Session, fault: Callable[[Path], None]) -> None:
    assert session.screen.last["record"] == {"on": True, "reason": ""}
    moment = time.monotonic()
    fault(session.journal.path)
    wait_until(lambda: find_off(session.screen, moment) is not None)
    assert (find_off(session.screen, moment) or 9) < 1.0
    assert "put it back" in session.screen.last["record"]["reason"]
    ended = session.finish()
    session.journal.close()
    told = session.record.check()
    assert told["told"]["results"] == sum(ended.counts["skipped"].values()) + ended.counts["used"]
    assert told["missing"] == told["told"]


def test_a_new_exam_begins_without_a_journal(session: Session) -> None:
    from neurosono.stream.page.protocol import Command

    delete(session.journal.path)
    first = session.record.exam_id
    session.screen.asked.append(Command("new-exam"))
    wait_until(lambda: session.record.exam_id != first)
    session.wait_for_evidence(3)
    new = session.record.exam_id
    wait_until(
        lambda: session.screen.last["exam"] == new and not session.screen.last["record"]["on"]
    )
    session.finish()


def test_a_held_journal_is_record_off_and_then_on_with_all_of_it(session: Session) -> None:
    moment = time.monotonic()
    with closing(sqlite3.connect(session.journal.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        wait_until(lambda: find_off(session.screen, moment) is not None)
        assert (find_off(session.screen, moment) or 9) < 1.2, "a second, and a busy host"
        holder.execute("ROLLBACK")
    wait_until(lambda: session.screen.last["record"]["on"])
    session.finish()
    session.journal.close()
    assert session.record.check()["missing"] == {"results": 0, "key_frames": 0}


class Running:
    """`neurosono live` as a user starts it, with its journal."""

    def __init__(self, bundle_root: Path, journal: Path) -> None:
        self.journal = journal
        told = ("--bundle", bundle_root, "--journal", journal, "--no-page", "--json", "-")
        self.process = start("live", SOURCE, *told)
        wait_until(lambda: self.count_used() >= 5)

    def count_used(self) -> int:
        if not self.journal.is_file():
            return 0
        with contextlib.suppress(sqlite3.Error), Journal.open(self.journal).read() as reader:
            return sum(exam.used for exam in reader.exams())
        return 0

    def finish(self) -> tuple[dict[str, Any], str]:
        self.process.send_signal(signal.SIGINT)
        out, said = self.process.communicate(timeout=GRACE_S)
        assert self.process.returncode == 1, said
        assert "Traceback" not in said
        return json.loads(out), " ".join(said.split())


@pytest.mark.parametrize("fault", [delete, unmount])
def test_the_end_says_what_is_missing_and_exits_1(
    fault: Callable[[Path], None], bundle_root: Path, tmp_path: Path
) -> None:
    running = Running(bundle_root, tmp_path / "data" / "exams.db")
    fault(running.journal)
    exam, said = running.finish()
    told, accounts = exam["session"]["record"], exam["session"]["accounts"]
    shown = exam["frames"]["sampled"]
    assert told["missing"]["results"] == told["told"]["results"] == shown
    assert accounts["recorded"] == 0
    assert accounts["unaccounted"] >= shown
    assert f"{shown} results" in said
    assert "are not in" in said
    assert "recorded as" not in said


def test_a_journal_that_is_held_to_the_end_is_said_and_read_in_later(
    bundle_root: Path, tmp_path: Path
) -> None:
    running = Running(bundle_root, tmp_path / "exams.db")
    with closing(sqlite3.connect(running.journal, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        begun_s = time.monotonic()
        wait_until(lambda: time.monotonic() - begun_s > 1.0)
        exam, said = running.finish()
        holder.execute("ROLLBACK")
    missing = exam["session"]["record"]["missing"]["results"]
    assert 0 < missing < exam["frames"]["sampled"]
    assert "another program holds the journal" in said
    assert "read in when it is next opened" in said
    with Journal.open(running.journal) as journal:
        assert journal.tally(exam["exam"]).results == exam["frames"]["sampled"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_said_and_nothing_is_lost(bundle_root: Path, small_disk: Path) -> None:
    running = Running(bundle_root, small_disk / "data" / "exams.db")
    filler = small_disk / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))
    begun_s = time.monotonic()
    wait_until(lambda: time.monotonic() - begun_s > 3.0)
    exam, said = running.finish()
    assert exam["session"]["record"]["missing"]["results"] > 0
    assert "the journal's limit is full" in said
    filler.unlink()
    with Journal.open(running.journal) as journal:
        assert journal.tally(exam["exam"]).results == exam["frames"]["sampled"]
