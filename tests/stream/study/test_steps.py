"""What the hospital hears of an exam that took an entry: that it began, and how it ended."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import OutputError, RunError
from neurosono.scripts.commands import make_app
from neurosono.stream.hospital.mpps import tell_end, tell_start
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import ErrandStanding, Outbox, Outcome, Row, Step
from neurosono.stream.hospital.queue import GIVE_UP_S
from neurosono.stream.journal.journal import ExamJournal, Journal
from neurosono.stream.page.protocol import Command
from neurosono.stream.study.posting import work_off
from tests.stream.hospital.test_queue import Machine
from tests.stream.study.test_posting import WAIT_S, Pacs, Screen, offer, open_register, post
from tests.stream.study.test_posting import pacs as pacs
from tests.stream.study.test_posting import screen as screen
from tests.support.commands import wait_until
from tests.support.mpps import serving_ris
from tests.support.senders import free_tcp_port

SECOND_NS = 10**9


def take(number: str) -> Command:
    return Command("take", {"accession": number, "step": "S1"})


def list_steps(journal: Journal, exam_id: str) -> list[Row]:
    with Outbox(journal.path) as outbox:
        return [row for row in outbox.list_of(exam_id) if isinstance(row.what, Step)]


def is_begun(journal: Journal, exam_id: str) -> bool:
    return any(row.standing is ErrandStanding.BEGUN for row in list_steps(journal, exam_id))


def test_the_hospital_hears_of_beginning_and_end_with_what_was_made(
    journal: Journal, exam: ExamJournal, screen: Screen, pacs: Pacs, tmp_path: Path
) -> None:
    with serving_ris(tmp_path) as ris:
        register = open_register(journal, screen, pacs.node, mpps=parse_node(ris.node))
        try:
            register.open_exam(exam.exam_id)
            register.begin()
            screen.wait(lambda about: about["entries"])
            register.obey(take("A-1"))
            wait_until(lambda: is_begun(journal, exam.exam_id))
            assert ris.statuses() == ["IN PROGRESS"]
            register.obey(take("A-1"))  # the same once more is the same step
            register.obey(take("A-2"))
            exam.end({"complete": True})
            register.close_exam(exam.exam_id, begun=True)
            words = register.settle(WAIT_S)
        finally:
            register.close()
        assert words.endswith(f"; step of exam {exam.exam_id}: RIS was told that it is completed")
        told = ris.messages()
    assert len({uid for _, uid, _ in told}) == 2
    by_step: dict[str, list[Any]] = {}
    for kind, uid, said in told:
        by_step.setdefault(uid, []).append((kind, said))
    wrong, right = by_step.values()
    (_, began), (_, ended) = wrong
    assert (str(began.PatientName), ended.PerformedProcedureStepStatus) == (
        "Größe^Änne",
        "DISCONTINUED",
    )
    (reason,) = ended.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert (reason.CodeValue, reason.CodingSchemeDesignator) == ("110514", "DCM")
    assert [kind for kind, _ in right] == ["N-CREATE", "N-SET"]
    (_, began), (_, ended) = right
    assert str(began.PatientName.ideographic) == "王^小东"
    (scheduled,) = began.ScheduledStepAttributesSequence
    assert (scheduled.AccessionNumber, scheduled.StudyInstanceUID) == (
        "A-2",
        "1.2.826.0.1.3680043.9.2",
    )
    assert (scheduled.ScheduledProcedureStepID, began.Modality) == ("S1", "US")
    assert ended.PerformedProcedureStepStatus == "COMPLETED"
    assert ended.PerformedProcedureStepEndDate
    named = {
        item.ReferencedSOPInstanceUID
        for series in ended.PerformedSeriesSequence
        for part in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
        for item in series.get(part, [])
    }
    assert named == {each.SOPInstanceUID for each in pacs.kept}
    kept = sorted(path.name for path in (tmp_path / "identities").iterdir())
    assert kept == [f"{exam.exam_id}.json"], "whose a step was is gone once it is told"
    for path in tmp_path.glob("outbox.sqlite*"):
        assert not any(word.encode() in path.read_bytes() for word in ("王", "Größe", "A-2", "ID-"))


def test_a_hospital_that_is_away_is_told_later(
    journal: Journal, exam: ExamJournal, screen: Screen, tmp_path: Path
) -> None:
    port = free_tcp_port()
    where = parse_node(f"RIS@127.0.0.1:{port}")
    register = open_register(journal, screen, None, accession="A-1", mpps=where)
    try:
        register.begin()
        register.open_exam(exam.exam_id)
        exam.end({"complete": True})
        register.close_exam(exam.exam_id, begun=True)
        assert "is not told yet (RIS at 127.0.0.1" in register.settle(WAIT_S)
    finally:
        register.close()
    again = ["study", "waiting", "--journal", str(journal.path)]
    with serving_ris(tmp_path, port) as ris:
        ris.mood.write_text(str(0x0106))
        ran = CliRunner().invoke(make_app(), again)
        assert isinstance(ran.exception, RunError)
        assert "1 steps could not be told of 1 that waited" in str(ran.exception)
        (step,) = list_steps(journal, exam.exam_id)
        assert step.said.endswith("answered 0x0106 to the beginning of the step")
        ris.mood.unlink()
        assert CliRunner().invoke(make_app(), again).exception is None
        assert ris.statuses() == ["IN PROGRESS", "COMPLETED"]
        with Outbox(journal.path) as outbox:
            outbox.put(exam.exam_id, 1, step.what)  # as if a kill had come before it was noted
        (row,) = post(journal, at_once=True)
        assert (row.standing, ris.statuses()) == (
            ErrandStanding.STORED,
            ["IN PROGRESS", "COMPLETED"],
        )
        with Outbox(journal.path) as outbox:
            outbox.drop(exam.exam_id)
            outbox.put(exam.exam_id, 1, step.what)
        (row,) = post(journal, at_once=True)
        assert row.said == "whose it was is gone", "and it is not told of another"


def test_what_was_said_before_an_answer_was_lost_counts(
    journal: Journal, exam: ExamJournal, tmp_path: Path
) -> None:
    with serving_ris(tmp_path) as ris:
        step = Step(node=ris.node, own_title="US1", uid="1.2.3", began_ns=0)
        entry = offer(None)[0]  # type: ignore[arg-type]
        for _ in range(2):
            tell_start(step, "1", entry)
        over = step.end(Outcome.COMPLETED, SECOND_NS)
        for _ in range(2):
            tell_end(over, [])
        assert ris.statuses() == ["IN PROGRESS", "COMPLETED"]
        tell_end(over.end(Outcome.ABANDONED, 0), [])
        assert len(ris.messages()) == 2, "what is over there stays as it was told first"
        strange = Step(node=ris.node, own_title="US1", uid="1.2.5", began_ns=0)
        with pytest.raises(OutputError, match="answered 0x0112 to the end of the step"):
            tell_end(strange.end(Outcome.COMPLETED, 1), [])
        with Outbox(journal.path) as outbox:
            unheard = Step(node=ris.node, own_title="US1", uid="1.2.4", began_ns=0)
            outbox.put(exam.exam_id, 1, unheard.end(Outcome.WRONG_ENTRY, SECOND_NS))
        assert post(journal) == list_steps(journal, exam.exam_id) == []
        assert len(ris.messages()) == 2, "of what nobody has heard, nobody need hear"


def test_a_session_that_was_killed_leaves_no_step_open_and_a_clock_that_is_set_ends_none(
    journal: Journal, exam: ExamJournal, screen: Screen, tmp_path: Path
) -> None:
    machine = Machine()
    with serving_ris(tmp_path) as ris, Outbox(journal.path, machine.clock) as outbox:
        plan = {"accession": "A-1", "mpps": parse_node(ris.node)}
        register = open_register(journal, screen, None, **plan)
        register.begin()
        register.open_exam(exam.exam_id)
        wait_until(lambda: is_begun(journal, exam.exam_id))
        hour_ns = 3600 * SECOND_NS
        with sqlite3.connect(tmp_path / "outbox.sqlite") as connection:
            connection.execute("UPDATE errand SET next_ns = next_ns - 2 * ?", (hour_ns,))
        connection.close()
        (row,) = list_steps(journal, exam.exam_id)
        wait_until(lambda: list_steps(journal, exam.exam_id)[0].next_ns > row.next_ns + hour_ns)
        register.close()  # as by a kill: nobody ended the exam
        again = open_register(journal, screen, None, mpps=parse_node(ris.node))
        again.open_exam(exam.exam_id)  # by --resume
        again.close()
        assert len(list_steps(journal, exam.exam_id)) == 1
        machine.wall_ns += 2 * GIVE_UP_S * SECOND_NS
        assert work_off(outbox, journal.path) == work_off(outbox, journal.path, at_once=True) == []
        assert ris.statuses() == ["IN PROGRESS"]
        (step,) = list_steps(journal, exam.exam_id)
        machine.pass_s((step.next_ns - outbox.now_ns()) / 1e9 + 1)
        for _ in range(2):
            (row,) = work_off(outbox, journal.path)
        assert row.standing is ErrandStanding.STORED
        assert ris.statuses() == ["IN PROGRESS", "DISCONTINUED"]
        assert work_off(outbox, journal.path) == []
