"""What waits to be sent: retried over a day, one sender at a time, nothing of it a name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.hospital.entry import Entry, read_entry
from neurosono.stream.hospital.forget import forget_exams
from neurosono.stream.hospital.identities import keep_identity, read_kept
from neurosono.stream.hospital.outbox import (
    STUDY,
    ErrandStanding,
    Outbox,
    Outcome,
    Row,
    Step,
    Study,
)
from neurosono.stream.hospital.queue import GIVE_UP_S
from tests.stream.hospital.test_queue import DAY_NS, SECOND_NS, Machine
from tests.support.worklists import make_entry, receive

EXAM, OTHER = "20261127-101500-0a1b2c", "20261127-111500-0a1b2c"
TO = {"node": "PACS@10.0.0.5:104", "own_title": "US1"}
STUDY_OF = Study(**TO, bundle=None, codes="snomed", pdf=False)


def make_step(uid: str = "1.2.3") -> Step:
    return Step(node="RIS@h:1", own_title="US1", uid=uid, began_ns=0)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def outbox(tmp_path: Path, machine: Machine) -> Iterator[Outbox]:
    with Outbox(tmp_path / "journal.sqlite", machine.clock) as outbox:
        yield outbox


def read(outbox: Outbox, exam_id: str = EXAM, number: int = STUDY) -> Row:
    row = outbox.find(exam_id, number)
    assert row is not None
    return row


def fail(outbox: Outbox, said: str = "PACS is not there") -> Row:
    """Try the one that is due, in vain."""
    (row,) = outbox.list_due()
    outbox.try_now(row)
    outbox.note(row, ErrandStanding.WAITING, said)
    return read(outbox, row.exam_id, row.number)


def make_kept() -> Entry:
    return read_entry(receive(make_entry("Größe^Änne=王^小东", "A-1")), "ISO_IR 100")


def test_a_study_is_tried_again_later_and_later_for_a_day(outbox: Outbox, machine: Machine) -> None:
    outbox.put(EXAM, STUDY, STUDY_OF)
    assert outbox.tell(read(outbox)) == f"study of exam {EXAM}: on its way to PACS"
    waits_s = []
    while (row := fail(outbox)).standing is ErrandStanding.WAITING:
        assert "tried again at" in outbox.tell(row)
        waits_s.append((row.next_ns - outbox.now_ns()) // SECOND_NS)
        machine.pass_s(waits_s[-1] - 1)
        assert outbox.list_due() == []
        machine.pass_s(1)
    assert waits_s[:7] == [5, 15, 60, 300, 900, 3600, 3600]
    assert sum(waits_s) >= GIVE_UP_S > sum(waits_s[:-1])
    assert "not stored within a day (PACS is not there)" in outbox.tell(row)
    assert outbox.list_due(at_once=True) == []
    outbox.put(EXAM, STUDY, STUDY_OF)  # asked for anew
    outbox.note(read(outbox), ErrandStanding.STORED)
    assert outbox.tell(read(outbox)) == f"study of exam {EXAM}: stored on PACS"


def test_only_what_is_due_is_sent_steps_first_and_the_oldest_first(
    outbox: Outbox, machine: Machine
) -> None:
    for exam_id in (OTHER, EXAM):
        outbox.put(exam_id, STUDY, STUDY_OF)
        machine.pass_s(1)
    outbox.put(EXAM, 1, make_step())
    due = [(row.exam_id, row.number) for row in outbox.list_due()]
    assert due == [(EXAM, 1), (OTHER, STUDY), (EXAM, STUDY)]
    for row in outbox.list_due():
        outbox.try_now(row)  # and is killed before it could say how that went
    assert outbox.list_due() == []
    assert len(outbox.list_due(at_once=True)) == 3
    machine.pass_s(5)
    assert len(outbox.list_due()) == 3
    outbox.note(read(outbox), ErrandStanding.STORED)
    assert [row.exam_id for row in outbox.list_open()] == [OTHER, EXAM]


def test_what_a_session_says_while_something_is_sent_is_not_undone(outbox: Outbox) -> None:
    outbox.put(EXAM, 1, make_step())
    (begun,) = outbox.list_due()
    outbox.try_now(begun)
    ended = make_step().end(Outcome.COMPLETED, 7)
    outbox.put(EXAM, 1, ended)  # the sender has not noted yet what it knows
    outbox.note(begun, ErrandStanding.BEGUN, heard=True)
    (row,) = outbox.list_due()
    assert (row.what, row.begun, row.tries) == (ended, True, 1)


def test_what_was_done_long_ago_is_looked_at_no_more(outbox: Outbox, machine: Machine) -> None:
    for number, errand in ((STUDY, STUDY_OF), (1, make_step().end(Outcome.COMPLETED, 1))):
        outbox.put(EXAM, number, errand)
        outbox.note(read(outbox, EXAM, number), ErrandStanding.STORED)
        outbox.put(OTHER, number, STUDY_OF if number == STUDY else make_step("1.2.4"))
        machine.pass_s(1)
    for before_ns, left in ((0, [EXAM, OTHER]), (outbox.now_ns(), [OTHER])):
        outbox.forget(before_ns)
        assert {row.exam_id for row in outbox.list_newest(9)} == set(left)


def test_a_step_ends_by_its_session_or_a_day_after_it_and_never_by_a_clock_that_is_set(
    outbox: Outbox, machine: Machine
) -> None:
    outbox.put(EXAM, 1, make_step())
    (row,) = outbox.list_due()
    outbox.note(row, ErrandStanding.BEGUN, heard=True)
    assert outbox.tell(read(outbox, EXAM, 1)) == ""
    machine.wall_ns += 30 * DAY_NS
    assert outbox.list_due() == outbox.list_due(at_once=True) == []
    machine.pass_s(GIVE_UP_S - 1)
    assert outbox.list_due() == []
    machine.pass_s(2)
    assert [row.standing for row in outbox.list_due()] == [ErrandStanding.BEGUN]


def test_one_process_sends_at_a_time(outbox: Outbox) -> None:
    with outbox.hold() as first, outbox.hold() as second:
        assert (first, second) == (True, False)
    with outbox.hold() as free:
        assert free


def test_whose_an_exam_is_stands_in_a_private_file_that_can_be_taken_away(
    outbox: Outbox, tmp_path: Path
) -> None:
    journal, entry = tmp_path / "journal.sqlite", make_kept()
    assert read_kept(journal, EXAM) is None
    keep_identity(journal, EXAM, entry)
    outbox.put(EXAM, STUDY, STUDY_OF)
    path = tmp_path / "identities" / f"{EXAM}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = read_kept(journal, EXAM)
    assert found == entry
    assert found.name == "Größe, Änne = 王, 小东"
    assert (tmp_path / "outbox.sqlite").stat().st_mode & 0o777 == 0o600
    forget_exams(journal, [EXAM])
    assert read_kept(journal, EXAM) is None
    assert outbox.find(EXAM) is None
    forget_exams(tmp_path / "elsewhere" / "journal.sqlite", [EXAM])
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_file_that_is_damaged_or_elsewhere_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    keep_identity(journal, EXAM, make_kept())
    (tmp_path / "identities" / f"{EXAM}.json").write_text("[]")
    with pytest.raises(InputError, match="cannot be read"):
        read_kept(journal, EXAM)
    with pytest.raises(InputError, match="no exam is named"):
        read_kept(journal, "../../etc/passwd")
