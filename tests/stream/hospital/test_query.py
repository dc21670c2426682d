"""Asking a worklist: who is offered, in which script, and what is said of servers that fail."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dsutils import decode, encode
from pynetdicom.sop_class import ModalityWorklistInformationFind

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.stream.hospital.charset import UTF_8
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.hospital.entry import Entry, read_entry
from neurosono.stream.hospital.node import Node, parse_node
from neurosono.stream.hospital.query import (
    MOST_ENTRIES,
    Question,
    answer_question,
    ask_worklist,
    name_today,
)
from tests.support.orthanc import serving_orthanc
from tests.support.senders import HOST, free_tcp_port
from tests.support.worklists import make_entry, serving_worklist, write_entries

DAY = "20200101"
CHINESE = "Wang^XiaoDong=王^小东"


def ask(node: str, **more: str) -> list[Entry]:
    return ask_worklist(Question(parse_node(node), name_today(), **more))


def test_names_come_in_every_script_and_only_todays_ultrasound_is_offered(tmp_path: Path) -> None:
    entries = [
        make_entry("Größe^Änne", "A-1", charset="ISO_IR 100", at="113000"),
        make_entry(CHINESE, "A-2", charset="GB18030", at="090000"),
        make_entry("Müller^Zoë", "A-3", charset="ISO_IR 192", at="100000"),
        make_entry("Dvořák^Žofie", "A-4", charset="ISO_IR 101", at="120000"),
        make_entry("Other^Day", "A-5", day="20200101"),
        make_entry("Other^Modality", "A-6", modality="MR"),
        make_entry("Größe^Ünsaid", "A-7", charset=None, at="130000"),
    ]
    folder = write_entries(tmp_path / "wl", entries, unsaid=("A-7",))
    with serving_worklist(folder) as node:
        found = ask(node)
        names = {each.accession: each.name for each in found}
        assert [each.accession for each in found] == ["A-2", "A-3", "A-1", "A-4", "A-7"]
        assert names["A-1"] == "Größe, Änne"
        assert names["A-2"] == "Wang, XiaoDong = 王, 小东"
        assert names["A-3"] == "Müller, Zoë"
        assert names["A-4"] == "Dvořák, Žofie"
        assert "Größe" not in names["A-7"]  # UTF-8 is what is taken for granted
        told = ask(node, fallback="ISO_IR 100")
        assert {each.accession: each.name for each in told}["A-7"] == "Größe, Ünsaid"
        assert names["A-2"] == {each.accession: each.name for each in told}["A-2"]
    shown = found[1].show()
    assert (shown["born"], shown["at"], shown["what"]) == ("1990-01-02", "10:00", "Fetal brain")
    assert Entry.from_json(found[0].to_json()) == found[0]


ESCAPED = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
"""The standard's own example of Chinese by code extension (PS3.5 K.2, ISO 2022 IR 58)."""


def test_chinese_by_code_extension_has_no_escapes_left() -> None:
    blank = "x" * len(ESCAPED)
    asked = make_entry(blank, "A-1", charset="ISO_IR 100")
    asked.SpecificCharacterSet = ["", "ISO 2022 IR 58"]
    sent = encode(asked, True, True)
    assert sent is not None
    entry = read_entry(decode(BytesIO(sent.replace(blank.encode(), ESCAPED)), True, True), UTF_8)
    assert entry.name == "Zhang, XiaoDong = 张, 小东"
    assert Entry.from_json(entry.to_json()) == entry


def test_a_pacs_offers_its_worklist(tmp_path: Path) -> None:
    folder = write_entries(tmp_path / "wl", [make_entry("Größe^Änne", "A-1")])
    with serving_orthanc(tmp_path, folder) as orthanc:
        (found,) = ask(orthanc.node)
        stranger = Question(parse_node(orthanc.node, "STRANGER"), name_today())
        with pytest.raises(RunError, match="may STRANGER ask it for a worklist"):
            ask_worklist(stranger)
    assert (found.name, found.accession, found.step) == ("Größe, Änne", "A-1", "S1")


@contextlib.contextmanager
def answering(statuses: list[int], names: list[str]) -> Iterator[str]:
    """Run a worklist that answers with these statuses, an entry with each pending one."""

    def answer(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for status, name in zip(statuses, names, strict=True):
            yield status, make_entry(name, "A-1") if status == 0xFF00 else None

    entity = Entity(ae_title="ODD")
    entity.add_supported_context(ModalityWorklistInformationFind)
    server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    try:
        yield f"ODD@{HOST}:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()


def test_a_worklist_that_breaks_off_is_told_without_a_name() -> None:
    with (
        answering([0xFF00, 0xA700], ["Secret^Sara", ""]) as node,
        pytest.raises(RunError, match="answered 0xA700 to our question") as caught,
    ):
        ask(node)
    assert "Secret" not in str(caught.value)


def test_a_worklist_that_heeds_no_question_is_refused() -> None:
    count = MOST_ENTRIES + 1
    with (
        answering([0xFF00] * count, ["Secret^Sara"] * count) as node,
        pytest.raises(RunError, match=f"more than {MOST_ENTRIES} entries"),
    ):
        ask(node)


def test_of_one_patients_entries_only_what_was_asked_for_is_taken() -> None:
    """This worklist answers every question with the same entry, of today."""
    with answering([0xFF00, 0x0000], ["Other^Olga", ""]) as node:
        where, today = parse_node(node), name_today()
        for patient, day, count in (("ID-A-1", today, 1), ("*", today, 0), ("ID-A-1", DAY, 0)):
            assert len(answer_question(Question(where, day, patient=patient))) == count


def test_a_node_that_is_away_or_is_none() -> None:
    with pytest.raises(RunError, match="is not there"):
        ask(f"ODD@{HOST}:{free_tcp_port()}")
    with socket.create_server((HOST, 0)) as listener:

        def answer() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RunError, match="does not answer as a DICOM node"):
            ask(f"ODD@{HOST}:{listener.getsockname()[1]}")
        thread.join()


def test_a_node_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server((HOST, 0)) as listener:
        node = Node("ODD", HOST, listener.getsockname()[1])
        with pytest.raises(RunError, match="answers too slowly"):
            ask_worklist(Question(node, name_today()), longest_s=0.01)


def test_a_character_set_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="no character set 'Klingon'"):
        Question(Node("ODD", HOST, 104), "", "Klingon")
