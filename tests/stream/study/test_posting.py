"""An exam that took an entry of the worklist: from the choice to the PACS, and no further."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pynetdicom import evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
from typer.testing import CliRunner

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.scripts.commands import make_app
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.hospital.entry import Entry, read_entry
from neurosono.stream.hospital.identities import read_kept
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import ErrandStanding, Outbox, Row
from neurosono.stream.hospital.query import Question
from neurosono.stream.journal.journal import ExamJournal, Journal
from neurosono.stream.live.register import Register, Registering
from neurosono.stream.page.protocol import Command
from neurosono.stream.study.posting import work_off
from tests.support.senders import HOST
from tests.support.worklists import make_entry, receive

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

WAIT_S = 240.0
"""The process that sends gives way to all others: beside load it takes its time."""
WORKLIST = parse_node(f"WORKLIST@{HOST}:1")


class Pacs:
    """A node that keeps what it takes, and answers with `status`."""

    def __init__(self) -> None:
        self.kept: list[Dataset] = []
        self.status = 0x0000
        entity = Entity(ae_title="PACS")
        entity.add_supported_context(Comprehensive3DSRStorage)
        entity.add_supported_context(MultiFrameTrueColorSecondaryCaptureImageStorage)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.server = entity.start_server((HOST, 0), block=False, evt_handlers=handlers)
        self.node = f"PACS@{HOST}:{self.server.socket.getsockname()[1]}"

    def _store(self, event: evt.Event) -> int:
        if self.status == 0x0000:
            self.kept.append(event.dataset)
        return self.status


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs = Pacs()
    yield pacs
    pacs.server.shutdown()


class Screen:
    """What a page was told, and a wait for it."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self._news = threading.Condition()

    def __call__(self, about: dict[str, Any]) -> None:
        with self._news:
            self.told.append(about)
            self._news.notify_all()

    def wait(self, condition: Any) -> dict[str, Any]:
        with self._news:
            assert self._news.wait_for(lambda: condition(self.told[-1]), WAIT_S)
            return self.told[-1]


def offer(_: Question) -> list[Entry]:
    names = {"A-1": "Größe^Änne", "A-2": "Wang^XiaoDong=王^小东"}
    found = {number: receive(make_entry(name, number)) for number, name in names.items()}
    return [read_entry(each, "ISO_IR 100") for each in found.values()]


def find_study(journal: Journal, exam_id: str) -> Row | None:
    with Outbox(journal.path) as outbox:
        return outbox.find(exam_id)


def post(journal: Journal, *, at_once: bool = False) -> list[Row]:
    """Do what the process does that a session starts."""
    with Outbox(journal.path) as outbox:
        return work_off(outbox, journal.path, at_once=at_once)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def open_register(
    journal: Journal,
    screen: Screen,
    send: str | None,
    ask: Any = offer,
    bundle: Bundle | None = None,
    **more: Any,
) -> Register:
    plan = Registering(WORKLIST, None if send is None else parse_node(send), **more)
    root = None if bundle is None else str(bundle.root)
    return Register(plan, journal.path, root, screen, journal.flush, ask=ask)


def test_an_exam_takes_an_entry_and_its_study_arrives(
    journal: Journal,
    exam: ExamJournal,
    bundle: Bundle,
    screen: Screen,
    pacs: Pacs,
    tmp_path: Path,
) -> None:
    register = open_register(journal, screen, pacs.node, bundle=bundle)
    try:
        register.open_exam(exam.exam_id)
        register.begin()
        told = screen.wait(lambda about: about["entries"])
        assert told["entries"][0]["name"] == "Größe, Änne"
        assert told["taken"] is None
        register.obey(Command("take", {"accession": "A-9", "step": "S1"}))  # offered to nobody
        register.obey(Command("take", {"accession": "A-2", "step": "S1"}))
        assert screen.wait(lambda about: about["taken"])["taken"]["accession"] == "A-2"
        exam.end({"complete": True})
        register.close_exam(exam.exam_id, begun=True)
        register.open_exam("20261127-101500-0a1b2c")
        assert screen.told[-1]["taken"] is None, "the next exam is nobody's"
        words = register.settle(WAIT_S)
        assert words == f"study of exam {exam.exam_id}: stored on PACS"
        assert screen.wait(lambda about: about["study"]["standing"] == "stored")
    finally:
        register.close()
    assert [str(each.PatientName.ideographic) for each in pacs.kept] == ["王^小东"] * 3
    assert {each.AccessionNumber for each in pacs.kept} == {"A-2"}
    assert {each.StudyInstanceUID for each in pacs.kept} == {"1.2.826.0.1.3680043.9.2"}
    assert {each.StudyID for each in pacs.kept} == {"R2"}
    journal.close()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.parent.name != "identities":
            data = path.read_bytes()
            assert not any(word.encode() in data for word in ("王", "Wang", "ID-A-2", "A-2"))


def test_a_pacs_that_refuses_is_told_and_tried_again(
    journal: Journal, exam: ExamJournal, screen: Screen, pacs: Pacs
) -> None:
    pacs.status = 0xA700
    register = open_register(journal, screen, pacs.node, accession="A-1")
    try:
        register.begin()
        register.open_exam(exam.exam_id)
        assert screen.told[-1]["taken"]["accession"] == "A-1"
        exam.end({"complete": True})
        register.close_exam(exam.exam_id, begun=True)
        words = register.settle(WAIT_S)
        assert "not stored yet (PACS at" in words
        assert "answered 0xA700" in words
    finally:
        register.close()
    assert pacs.kept == []
    pacs.status = 0x0000
    ran = CliRunner().invoke(make_app(), ["study", "waiting", "--journal", str(journal.path)])
    assert ran.exception is None
    assert {str(each.PatientName) for each in pacs.kept} == {"Größe^Änne"}
    row = find_study(journal, exam.exam_id)
    assert row is not None
    assert (row.standing, row.tries) == (ErrandStanding.STORED, 2)
    assert post(journal, at_once=True) == []
    assert len(pacs.kept) == 2


def test_nobodys_exam_is_not_sent(
    journal: Journal, exam: ExamJournal, screen: Screen, pacs: Pacs
) -> None:
    register = open_register(journal, screen, pacs.node)
    try:
        register.open_exam(exam.exam_id)
        register.close_exam(exam.exam_id, begun=True)
        assert "no entry of the worklist was taken" in register.settle(0)
    finally:
        register.close()
    assert find_study(journal, exam.exam_id) is None


def test_an_exam_without_a_frame_leaves_nothing(
    journal: Journal, exam: ExamJournal, screen: Screen, pacs: Pacs
) -> None:
    register = open_register(journal, screen, pacs.node, accession="A-1")
    try:
        register.begin()
        register.open_exam(exam.exam_id)
        register.close_exam(exam.exam_id, begun=False)
        assert register.settle(0) == ""
    finally:
        register.close()
    assert read_kept(journal.path, exam.exam_id) is None
    assert find_study(journal, exam.exam_id) is None


def test_a_worklist_that_is_away_stops_no_session(journal: Journal, screen: Screen) -> None:
    def fail(_: Question) -> list[Entry]:
        raise RunError("WORKLIST is not there")

    register = open_register(journal, screen, None, fail)
    try:
        register.begin()
        told = screen.wait(lambda about: about["said"])
        assert (told["said"], told["entries"], told["asks"]) == (
            "WORKLIST is not there",
            None,
            False,
        )
    finally:
        register.close()
    named = open_register(journal, screen, None, fail, accession="A-1")
    try:
        with pytest.raises(InputError, match="cannot be looked up: WORKLIST is not there"):
            named.begin()
    finally:
        named.close()
    absent = open_register(journal, screen, None, accession="A-77")
    try:
        with pytest.raises(InputError, match="has no entry of today") as caught:
            absent.begin()
        assert "A-77" not in str(caught.value)
    finally:
        absent.close()


def test_the_study_command_takes_the_kept_entry_by_name_only(
    journal: Journal, exam: ExamJournal, screen: Screen, tmp_path: Path
) -> None:
    where = ["study", exam.exam_id, "--journal", str(journal.path), "--out"]
    ran = CliRunner().invoke(make_app(), [*where, str(tmp_path / "a"), "--identity-of", "worklist"])
    assert isinstance(ran.exception, InputError)
    register = open_register(journal, screen, None, accession="A-1")
    register.begin()
    register.open_exam(exam.exam_id)
    register.close()
    for out, more, accession in (("b", [], ""), ("c", ["--identity-of", "worklist"], "A-1")):
        ran = CliRunner().invoke(make_app(), [*where, str(tmp_path / out), *more])
        assert ran.exception is None
        found = [dcmread(path) for path in sorted((tmp_path / out).iterdir())]
        assert {str(each.get("AccessionNumber") or "") for each in found} == {accession}
