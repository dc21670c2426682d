"""What waits to be sent: retried over a day, one sender at a time, nothing of it a name."""

from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.hospital.entry import Entry, read_entry
from neurosono.stream.hospital.forget import forget_exams
from neurosono.stream.hospital.identities import keep_identity, read_kept
from neurosono.stream.hospital.outbox import (
    GIVE_UP_S,
    Job,
    Standing,
    count_waiting,
    forget_stored,
    hold,
    list_due,
    post,
    read_job,
    tell_job,
)
from neurosono.stream.hospital.steps import (
    Outcome,
    Step,
    Told,
    forget_told,
    list_steps,
    write_step,
    write_told,
)
from tests.support.worklists import make_entry, receive

EXAM, OTHER = "20261127-101500-0a1b2c", "20261127-111500-0a1b2c"
SECOND_NS = 1_000_000_000


def make_job(exam_id: str = EXAM, made_ns: int = 0) -> Job:
    return Job(exam_id, "PACS@10.0.0.5:104", "US1", None, "snomed", False, made_ns, made_ns)


def make_kept() -> Entry:
    return read_entry(receive(make_entry("Größe^Änne=王^小东", "A-1")), "ISO_IR 100")


def test_a_study_is_tried_again_later_and_later_for_a_day() -> None:
    job, now_ns, waits_s = make_job(), 0, []
    while job.standing is Standing.WAITING:
        job = job.failed("PACS is not there", now_ns)
        waits_s.append((job.next_ns - now_ns) // SECOND_NS)
        now_ns = job.next_ns
    assert waits_s[:7] == [5, 15, 60, 300, 900, 3600, 3600]
    assert sum(waits_s[:-1]) >= GIVE_UP_S > sum(waits_s[:-2])
    assert "not stored within a day (PACS is not there)" in tell_job(job)
    assert tell_job(make_job().stored()) == f"study of exam {EXAM}: stored on PACS"
    assert "tried again at" in tell_job(make_job().failed("it refuses us", 0))


def test_only_what_is_due_is_sent_and_the_oldest_first(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    post(journal, make_job(OTHER, 2 * SECOND_NS))
    post(journal, make_job(EXAM, 1 * SECOND_NS))
    assert list_due(journal, 0) == []
    assert [job.exam_id for job in list_due(journal, 2 * SECOND_NS)] == [EXAM, OTHER]
    post(journal, make_job(EXAM).stored())
    assert [job.exam_id for job in list_due(journal, 2 * SECOND_NS)] == [OTHER]
    assert count_waiting(journal) == 1
    (journal.parent / "outbox" / f"{OTHER}.json").write_text("{")
    assert list_due(journal, 2 * SECOND_NS) == []
    with pytest.raises(InputError, match="delete it"):
        read_job(journal, OTHER)


def test_what_was_done_long_ago_is_looked_at_no_more(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    post(journal, make_job(EXAM).stored())
    post(journal, make_job(OTHER))
    begun = Step(EXAM, 1, "1.2.3", "RIS@h:1", "US1", 0)
    write_step(journal, begun.end(Outcome.COMPLETED, SECOND_NS))
    write_told(journal, begun, Told(created=True, standing=Standing.STORED))
    open_step = Step(OTHER, 1, "1.2.4", "RIS@h:1", "US1", 0)
    write_step(journal, open_step)
    for before_ns, left in ((0, [EXAM, OTHER]), (2 * SECOND_NS, [OTHER])):
        forget_stored(journal, before_ns)
        forget_told(journal, before_ns)
        known = [each for each in (EXAM, OTHER) if read_job(journal, each) is not None]
        assert known == [step.exam_id for step in list_steps(journal)] == left
    assert [path.name for path in (tmp_path / "steps").iterdir()] == [f"{OTHER}.1.json"]


def test_one_process_sends_at_a_time(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    with hold(journal) as first, hold(journal) as second:
        assert (first, second) == (True, False)
    with hold(journal) as free:
        assert free


def test_whose_an_exam_is_stands_in_a_private_file_that_can_be_taken_away(tmp_path: Path) -> None:
    journal, entry = tmp_path / "journal.sqlite", make_kept()
    assert read_kept(journal, EXAM) is None
    keep_identity(journal, EXAM, entry)
    post(journal, make_job())
    path = tmp_path / "identities" / f"{EXAM}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = read_kept(journal, EXAM)
    assert found == entry
    assert found.name == "Größe, Änne = 王, 小东"
    assert "Gr" not in (tmp_path / "outbox" / f"{EXAM}.json").read_text()
    forget_exams(journal, [EXAM])
    assert read_kept(journal, EXAM) is None
    assert read_job(journal, EXAM) is None


def test_a_key_file_that_is_damaged_or_elsewhere_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    keep_identity(journal, EXAM, make_kept())
    (tmp_path / "identities" / f"{EXAM}.json").write_text("[]")
    with pytest.raises(InputError, match="cannot be read"):
        read_kept(journal, EXAM)
    with pytest.raises(InputError, match="no exam is named"):
        read_kept(journal, "../../etc/passwd")


def test_a_clock_that_jumps_neither_keeps_a_study_back_nor_gives_it_up(tmp_path: Path) -> None:
    journal, day_ns = tmp_path / "journal.sqlite", 86_400 * SECOND_NS
    late = make_job(made_ns=100 * day_ns).failed("PACS is not there", 100 * day_ns)
    post(journal, late)
    assert list_due(journal, 100 * day_ns) == []
    assert list_due(journal, 90 * day_ns) == [late], "set back by ten days"
    forward = late.failed("PACS is not there", 110 * day_ns)
    assert forward.standing is Standing.WAITING, "it was tried twice, not for a day"
