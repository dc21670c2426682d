"""What the hospital hears of an exam that took an entry: that it began, and how it ended."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from neurosono.engine.contracts.errors import RunError
from neurosono.scripts.main import app
from neurosono.stream.hospital.mpps import tell_hospital
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import GIVE_UP_S, Standing, is_due
from neurosono.stream.hospital.steps import Outcome, Step, Told, list_steps, read_told, write_told
from neurosono.stream.journal.journal import ExamJournal, Journal
from neurosono.stream.page.protocol import Command
from neurosono.stream.study.posting import tell_due
from tests.stream.study.test_posting import Pacs, Screen, offer, open_register
from tests.stream.study.test_posting import pacs as pacs
from tests.stream.study.test_posting import screen as screen
from tests.support.commands import wait_until
from tests.support.mpps import serving_ris
from tests.support.senders import free_tcp_port

SECOND_NS = 10**9


def take(number: str) -> Command:
    return Command("take", {"accession": number, "step": "S1"})


def is_told(journal: Journal, exam_id: str, **far: Any) -> bool:
    told = [read_told(journal.path, step) for step in list_steps(journal.path, exam_id)]
    return bool(told) and all(getattr(told[-1], name) == far[name] for name in far)


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
            wait_until(lambda: is_told(journal, exam.exam_id, created=True))
            assert ris.statuses() == ["IN PROGRESS"]
            register.obey(take("A-1"))  # the same once more is the same step
            register.obey(take("A-2"))
            exam.end({"complete": True})
            register.close_exam(exam.exam_id, begun=True)
            words = register.settle(60)
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
    for path in (tmp_path / "steps").iterdir():
        assert not any(word in path.read_text() for word in ("王", "Größe", "A-2", "ID-"))


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
        assert "is not told yet (RIS at 127.0.0.1" in register.settle(60)
    finally:
        register.close()
    again = ["study", "waiting", "--journal", str(journal.path)]
    with serving_ris(tmp_path, port) as ris:
        ris.mood.write_text(str(0x0106))
        ran = CliRunner().invoke(app, again)
        assert isinstance(ran.exception, RunError)
        assert "1 of 1 steps could not be told" in str(ran.exception)
        (step,) = list_steps(journal.path)
        said = read_told(journal.path, step).said
        assert said.endswith("answered 0x0106 to the beginning of the step")
        ris.mood.unlink()
        assert CliRunner().invoke(app, again).exception is None
        assert ris.statuses() == ["IN PROGRESS", "COMPLETED"]
        write_told(journal.path, step, Told())  # as if a kill had come before it was written down
        ((_, told),) = tell_due(journal.path, at_once=True)
        assert told.said == "whose it was is gone", "and it is not told of another"
        write_told(journal.path, step, Told(created=True))
        ((_, told),) = tell_due(journal.path, at_once=True)
        assert (told.standing, ris.statuses()) == (Standing.STORED, ["IN PROGRESS", "COMPLETED"])


def test_what_was_said_before_an_answer_was_lost_counts(tmp_path: Path) -> None:
    with serving_ris(tmp_path) as ris:
        step = Step("20261127-101500-0a1b2c", 1, "1.2.3", ris.node, "US1", 0)
        entry = offer(None)[0]  # type: ignore[arg-type]
        first = tell_hospital(step, Told(), entry, [], 0)
        again = tell_hospital(step, Told(tries=1), entry, [], 0)
        assert first == again == Told(created=True)
        over = step.end(Outcome.COMPLETED, SECOND_NS)
        ended = [tell_hospital(over, again, entry, [], SECOND_NS) for _ in range(2)]
        assert {each.standing for each in ended} == {Standing.STORED}
        assert ris.statuses() == ["IN PROGRESS", "COMPLETED"]
        unheard = Step("20261127-101500-0a1b2c", 2, "1.2.4", ris.node, "US1", 0)
        wrong = unheard.end(Outcome.WRONG_ENTRY, SECOND_NS)
        assert tell_hospital(wrong, Told(), entry, [], 0).standing is Standing.STORED
        lost = tell_hospital(over.end(Outcome.ABANDONED, 0), Told(created=True), entry, [], 0)
        assert lost.standing is Standing.STORED, "what is over there stays as it was told first"
        strange = Step("20261127-101500-0a1b2c", 3, "1.2.5", ris.node, "US1", 0)
        told = tell_hospital(
            strange.end(Outcome.COMPLETED, 1), Told(created=True), entry, [], GIVE_UP_S * SECOND_NS
        )
        assert told.said.endswith("answered 0x0112 to the end of the step")
        assert told.standing is Standing.WAITING
        assert len(ris.messages()) == 2


def test_a_session_that_was_killed_leaves_no_step_open(
    journal: Journal, exam: ExamJournal, screen: Screen, tmp_path: Path
) -> None:
    with serving_ris(tmp_path) as ris:
        plan = {"accession": "A-1", "mpps": parse_node(ris.node)}
        register = open_register(journal, screen, None, **plan)
        register.begin()
        register.open_exam(exam.exam_id)
        wait_until(lambda: is_told(journal, exam.exam_id, created=True))
        register.close()  # as by a kill: nobody ended the exam
        again = open_register(journal, screen, None, mpps=parse_node(ris.node))
        again.open_exam(exam.exam_id)  # by --resume
        again.close()
        (step,) = list_steps(journal.path)
        assert tell_due(journal.path) == []
        later_ns = step.began_ns + (GIVE_UP_S + 1) * SECOND_NS
        ((_, told),) = tell_due(journal.path, lambda: later_ns)
        assert told.standing is Standing.STORED
        assert ris.statuses() == ["IN PROGRESS", "DISCONTINUED"]
        assert tell_due(journal.path, lambda: later_ns) == []


def test_a_clock_that_jumps_keeps_no_step_back_and_gives_none_up() -> None:
    day_ns = GIVE_UP_S * SECOND_NS
    told = Told().failed("it is not there", 100 * day_ns, 100 * day_ns)
    assert not is_due(told.next_ns, 100 * day_ns)
    assert is_due(told.next_ns, 90 * day_ns)
    assert told.failed("it is not there", 100 * day_ns, 110 * day_ns).standing is Standing.WAITING
