"""Sending a study: to a real PACS both ways, and to others that refuse, stop or say nonsense."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.scripts.commands import make_app
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import STUDY, ErrandStanding, Outbox, Study
from neurosono.stream.study.posting import work_off
from neurosono.stream.study.send import send_dicom, send_web
from tests.support.certificates import make_authority
from tests.support.dcmtk import storing as keeping
from tests.support.orthanc import serving_orthanc
from tests.support.senders import HOST, free_tcp_port
from tests.support.web import guarding


@contextlib.contextmanager
def storing(statuses: Iterator[int], classes: list[str], title: str = "PACS") -> Iterator[int]:
    """Run a node that answers each object with the next status."""
    entity = Entity(ae_title=title)
    entity.require_called_aet = True
    for each in classes:
        entity.add_supported_context(each)
    handlers = [(evt.EVT_C_STORE, lambda _: next(statuses))]
    server = entity.start_server((HOST, 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def test_a_real_pacs_takes_them_once_however_often_they_are_sent(
    objects: list[Dataset], tmp_path: Path
) -> None:
    with serving_orthanc(tmp_path) as orthanc:
        for _ in range(2):
            send_dicom(objects, parse_node(orthanc.node))
        assert len(orthanc.get("/instances")) == len(objects)
        send_web(objects, orthanc.web)
        assert len(orthanc.get("/instances")) == len(objects)
        (study,) = orthanc.get("/studies")
        found = orthanc.get(f"/studies/{study}/instances")
        kept = {each["MainDicomTags"]["SOPInstanceUID"] for each in found}
        assert kept == {str(each.SOPInstanceUID) for each in objects}
        (answer,) = orthanc.get("/dicom-web/studies")
        assert answer["0020000D"]["Value"] == [str(objects[0].StudyInstanceUID)]


def test_a_node_that_fails_is_told_with_what_it_took(objects: list[Dataset]) -> None:
    classes = sorted({str(each.SOPClassUID) for each in objects})
    with storing(iter([0x0000, 0xA700]), classes) as port:
        node = parse_node(f"PACS@{HOST}:{port}")
        with pytest.raises(OutputError, match="stored 1 of 3 objects, then answered 0xA700"):
            send_dicom(objects, node)


def test_a_node_that_has_no_room_is_busy(objects: list[Dataset]) -> None:
    entity = Entity(ae_title="PACS")
    entity.maximum_associations = 1
    entity.add_supported_context(str(objects[0].SOPClassUID))
    server = entity.start_server((HOST, 0), block=False)
    port = server.socket.getsockname()[1]
    other = Entity(ae_title="OTHER")
    other.add_requested_context(str(objects[0].SOPClassUID))
    held = other.associate(HOST, port)
    try:
        with pytest.raises(OutputError, match="is busy"):
            send_dicom(objects, parse_node(f"PACS@{HOST}:{port}"))
    finally:
        held.release()
        server.shutdown()


def test_a_node_that_dies_in_the_middle_is_told(objects: list[Dataset]) -> None:
    entity = Entity(ae_title="PACS")
    for each in {str(each.SOPClassUID) for each in objects}:
        entity.add_supported_context(each)

    def die(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, die)])
    try:
        node = parse_node(f"PACS@{HOST}:{server.socket.getsockname()[1]}")
        with pytest.raises(OutputError, match="stored 0 of 3 objects, then answered nothing"):
            send_dicom(objects, node)
    finally:
        server.shutdown()


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_pacs_that_dies_or_hangs_in_mid_transfer_has_all_of_it_at_the_next_try(
    objects: list[Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: str
) -> None:
    monkeypatch.setattr("neurosono.stream.study.send.TIMEOUT_S", 2.0)
    once_it_has_one = ("-xcr", f"kill -{signal} $PPID")
    with (
        keeping(tmp_path / "kept", None, *once_it_has_one) as node,
        pytest.raises(OutputError, match=r"stored [01] of 3 objects, then answered nothing"),
    ):
        send_dicom(objects, node)
    assert len(list((tmp_path / "kept").iterdir())) in (1, 2), "the last may be there in part"
    monkeypatch.undo()
    with keeping(tmp_path / "kept") as node:
        send_dicom(objects, node)
    kept = {each.name.split(".", 1)[1]: each for each in (tmp_path / "kept").iterdir()}
    assert set(kept) == {str(each.SOPInstanceUID) for each in objects}
    for each in objects:
        assert pydicom.dcmread(kept[str(each.SOPInstanceUID)]).SOPClassUID == each.SOPClassUID


def test_a_node_that_takes_no_reports_is_told(objects: list[Dataset]) -> None:
    with storing(iter([0x0000]), [str(objects[0].SOPClassUID)]) as port:
        node = parse_node(f"PACS@{HOST}:{port}")
        with pytest.raises(
            OutputError, match="stored 1 of 3 objects and takes none of Comprehensive"
        ):
            send_dicom(objects, node)


def test_a_node_that_does_not_know_us_or_is_not_there(objects: list[Dataset]) -> None:
    classes = [str(objects[0].SOPClassUID)]
    with (
        storing(iter([]), classes, title="OTHER") as port,
        pytest.raises(OutputError, match="refuses us"),
    ):
        send_dicom(objects, parse_node(f"PACS@{HOST}:{port}"))
    with pytest.raises(OutputError, match="is not there: Connection refused"):
        send_dicom(objects, parse_node(f"PACS@{HOST}:{free_tcp_port()}"))


@pytest.mark.parametrize(
    "words",
    ["PACS", "PACS@host", "PACS@host:x", "PACS@:104", "@h:1", "P" * 17 + "@h:1", "A@h:99999"],
)
def test_a_node_is_named_right_or_refused(words: str) -> None:
    with pytest.raises(InputError):
        parse_node(words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "answered 401 Unauthorized"),
        (
            b'HTTP/1.1 202 Accepted\r\nContent-Length: 28\r\n\r\n{"00081198":{"Value":[{}]}}\n',
            "refused 1 of 3 objects",
        ),
        (b"nonsense\r\n\r\n", "gave no answer"),
        (b"", "gave no answer"),
    ],
)
def test_a_web_server_that_fails_is_told(objects: list[Dataset], answer: bytes, words: str) -> None:
    def answer_once(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        listener.close()
        with connected:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connected.recv(65536)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            got = len(head.split(b"\r\n\r\n", 1)[1])
            while got < length:
                got += len(connected.recv(1 << 20))
            connected.sendall(answer)

    with socket.create_server((HOST, 0)) as listener:
        root = f"http://{HOST}:{listener.getsockname()[1]}/dicom-web"
        thread = threading.Thread(target=answer_once, args=(listener,))
        thread.start()
        with pytest.raises(OutputError, match=words):
            send_web(objects, root)
        thread.join()


@pytest.mark.parametrize("url", ["ftp://h/x", "http://", "http://me:secret@h/x"])
def test_an_address_that_cannot_be_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InputError) as caught:
        send_web([], url)
    assert "secret" not in str(caught.value)


def test_the_command_writes_and_wants_a_place(
    exam_id: str, tmp_path: Path, bundle_root: Path
) -> None:
    journal = str(tmp_path / "journal.sqlite")
    common = ["study", exam_id[:12], "--journal", journal, "--bundle", str(bundle_root)]
    ran = CliRunner().invoke(make_app(), common, catch_exceptions=True)
    assert isinstance(ran.exception, InputError)
    out = tmp_path / "study"
    ran = CliRunner().invoke(make_app(), [*common, "--out", str(out), "--codes", "umls"])
    assert ran.exception is None
    assert len(list(out.iterdir())) == 3


def test_the_command_sends_by_tls_and_so_does_what_waited(exam_id: str, tmp_path: Path) -> None:
    clinic = make_authority(tmp_path / "clinic")
    ours = clinic.issue("us")
    journal = tmp_path / "journal.sqlite"
    common = ["study", exam_id, "--journal", str(journal), "--send"]
    files = ["--tls-cert", ours.certfile, "--tls-key", ours.keyfile, "--tls-ca", ours.cafile]
    with keeping(tmp_path / "kept", clinic.issue("pacs")) as node:
        ran = CliRunner().invoke(make_app(), [*common, node.words, *files])
        assert ran.exception is None
        kept = list((tmp_path / "kept").iterdir())
        assert len(kept) >= 2
        for each in kept:
            each.unlink()
        to = {"node": node.words, "own_title": "US1", "tls": ours}
        with Outbox(journal) as outbox:
            outbox.put(exam_id, STUDY, Study(**to, bundle=None, codes="snomed", pdf=False))
            (row,) = work_off(outbox, journal)
        assert row.standing is ErrandStanding.STORED
        assert len(list((tmp_path / "kept").iterdir())) == len(kept)


def test_a_web_server_with_tls_takes_them_from_whoever_shows_a_known_certificate(
    objects: list[Dataset], exam_id: str, tmp_path: Path
) -> None:
    clinic, stranger = (make_authority(tmp_path / name) for name in ("clinic", "stranger"))
    ours = clinic.issue("us")
    with serving_orthanc(tmp_path) as orthanc, guarding(orthanc, clinic.issue("web")) as root:
        for tls, words in (
            (clinic.issue("late", ends_days=-1), "finds our certificate expired"),
            (stranger.issue("us", trusting=clinic), "does not know who vouches for our cert"),
            (clinic.issue("us2", trusting=stranger), "vouched for by nobody that we know"),
            (None, "shows a certificate that is vouched for by nobody that we know"),
        ):
            with pytest.raises(OutputError, match=words):
                send_web(objects, root, tls)
        with pytest.raises(OutputError, match="wants TLS"):
            send_web(objects, root.replace("https", "http"), None)
        assert orthanc.get("/instances") == []
        common = ["study", exam_id, "--journal", str(tmp_path / "journal.sqlite"), "--stow", root]
        files = ["--tls-cert", ours.certfile, "--tls-key", ours.keyfile, "--tls-ca", ours.cafile]
        assert CliRunner().invoke(make_app(), [*common, *files]).exception is None
        assert len(orthanc.get("/instances")) >= 2
