"""What a node answers: to whom, of which kind, and with what reason it refuses."""

import contextlib
import gc
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    HEVCMP51,
    JPEG2000,
    MPEG4HP41F,
    AllTransferSyntaxes,
    EnhancedUSVolumeStorage,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from pynetdicom.sop_class import CTImageStorage, Verification

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import MAKER
from neurosono.node.options import Limits, Listening
from neurosono.node.receiver import FULL, MISFIT, STORED, SYNTAXES, UNREADABLE, Receiver, listen
from neurosono.node.refusals import MOST, Refusals
from neurosono.node.spool import Spool
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.sources.dicom.header import is_film
from neurosono.stream.sources.limits import MediaLimits
from tests.support.certificates import make_authority
from tests.support.cines import make_cine
from tests.support.commands import wait_until
from tests.support.senders import HOST

TITLE, SCANNER = "NODE", "SCANNER1"
JPEGXL = "1.2.840.10008.1.2.4.112"
LISTENING = Listening(HOST, 0, TITLE, (SCANNER,))
LIMITS = Limits(most_waiting=1, least_free_bytes=0)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "node") as spool:
        yield spool


@pytest.fixture
def frames(frames: Any) -> Any:
    return frames[:3]


def serve(spool: Spool, limits: Limits = LIMITS, listening: Listening = LISTENING) -> Any:
    return listen(listening, Receiver(spool, limits, MediaLimits()), spool.incoming)


def associate(port: int, *classes: str, title: str = SCANNER, **more: Any) -> Any:
    entity = Entity(ae_title=title)
    for each in classes:
        entity.add_requested_context(each, more.pop("syntaxes", None))
    return entity.associate(HOST, port, ae_title=TITLE, **more)


def store(port: int, cine: Dataset) -> Dataset:
    association = associate(port, cine.SOPClassUID)
    assert association.is_established
    try:
        return association.send_c_store(cine)
    finally:
        association.release()


def test_a_cine_is_kept_as_it_came_and_nothing_is_left_over(spool: Spool, frames: Any) -> None:
    cine = make_cine(frames)
    with serve(spool) as port:
        assert store(port, cine).Status == STORED
        assert store(port, cine).Status == STORED, "it is known"
    (path,) = spool.files_of(1).iterdir()
    data = path.read_bytes()
    assert cine.PixelData in data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(spool.incoming.iterdir()) == []
    assert [batch.cines for batch in spool.batches()] == [1]


def test_what_was_made_of_a_study_is_not_judged_again(spool: Spool, frames: Any) -> None:
    """A PACS may send on whatever it gets, our own results too."""
    own = make_cine(frames)
    own.Manufacturer = MAKER
    with serve(spool) as port:
        assert store(port, own).Status == STORED
    assert spool.batches() == []
    assert list(spool.incoming.iterdir()) == []


def test_what_cannot_be_used_is_refused_with_a_reason(spool: Spool, frames: Any) -> None:
    with serve(spool, replace(LIMITS, most_waiting=9)) as port:
        cut = make_cine(frames)
        cut.Rows = 0
        answer = store(port, cut)
        assert (answer.Status, answer.ErrorComment) == (
            UNREADABLE,
            "it has no pixel data: its pictures have no size",
        )
        nobodys = make_cine(frames)
        del nobodys.StudyInstanceUID
        answer = store(port, nobodys)
        assert (answer.Status, answer.ErrorComment) == (MISFIT, "it names no study")
    assert spool.batches() == []
    assert list(spool.incoming.iterdir()) == []


def test_a_node_that_has_enough_says_so(spool: Spool, frames: Any) -> None:
    with serve(spool) as port:
        assert [store(port, make_cine(frames)).Status for _ in range(3)] == [STORED, STORED, FULL]
    full = replace(LIMITS, most_waiting=99, least_free_bytes=10**18)
    with serve(spool, full) as port:
        answer = store(port, make_cine(frames))
        assert answer.Status == FULL
        assert answer.ErrorComment == "the disk is nearly full: send it again later"
    assert len(spool.batches()) == 2


def test_only_who_was_named_is_answered(spool: Spool) -> None:
    with serve(spool) as port:
        known = associate(port, Verification)
        assert known.send_c_echo().Status == STORED
        known.release()
        assert associate(port, Verification, title="STRANGER").is_rejected
        assert not associate(port, CTImageStorage).is_established, "no class of ours"
        syntaxes = [HEVCMP51, JPEG2000]
        films = associate(port, UltrasoundMultiFrameImageStorage, syntaxes=syntaxes)
        assert films.is_established
        films.release()


def test_whoever_runs_a_node_hears_whom_it_refused(spool: Spool, frames: Any) -> None:
    receiver, told = Receiver(spool, LIMITS, MediaLimits(), LISTENING), list[str]()
    with listen(LISTENING, receiver, spool.incoming) as port:
        for _ in range(3):
            assert associate(port, Verification, title="STRANGER").is_rejected
        cine, volume = UltrasoundMultiFrameImageStorage, EnhancedUSVolumeStorage
        associate(port, Verification, volume).release()
        associate(port, cine, Verification, syntaxes=[JPEGXL]).release()
        assert not associate(port, CTImageStorage).is_established
        cut = make_cine(frames)
        cut.Rows = 0
        assert store(port, cut).Status == UNREADABLE

        def has_told() -> bool:
            told.extend(receiver.refusals.take(len(told) * 100.0))
            return len(told) >= 5

        wait_until(has_told)
    said = "\n".join(told)
    for words in (
        "STRANGER was refused",
        "nobody said --allow of it",
        "a volume's slices are no cine",
        "Ultrasound Multi-frame Image Storage can be decoded here",
        "nothing that it sends is taken here (CT Image Storage)",
        "its pictures have no size",
    ):
        assert words in said


def test_refusals_are_told_at_once_and_then_counted() -> None:
    refusals = Refusals()
    refusals.note("US\x1b[2J", "full")
    assert refusals.take(0.0) == ["US?[2J was refused: full"]
    for _ in range(5):
        refusals.note("US\x1b[2J", "full")
    assert refusals.take(59.0) == []
    assert refusals.take(61.0) == ["US?[2J was refused 5 times: full"]
    assert refusals.take(200.0) == []
    for number in range(10 * MOST):
        refusals.note(f"STRANGER{number}", "nobody said --allow of it")
    told = refusals.take(300.0)
    assert len(told) == MOST + 1
    assert told[-1].startswith(f"others was refused {9 * MOST} times")


def test_every_film_that_a_replay_decodes_may_be_stored(spool: Spool) -> None:
    assert {each for each in AllTransferSyntaxes if is_film(each)} <= set(SYNTAXES)
    wide = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    with serve(spool) as port:
        association = associate(port, wide, syntaxes=[MPEG4HP41F, ExplicitVRLittleEndian])
        assert association.is_established
        association.release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_sender_that_stops_in_the_middle_stores_nothing(spool: Spool, frames: Any) -> None:
    cine = make_cine(frames)
    with serve(spool) as port:
        association = associate(port, cine.SOPClassUID)
        association.dul.socket.socket = _Cut(association.dul.socket.socket, len(cine.PixelData))
        association.send_c_store(cine)
        association.abort()
        assert store(port, cine).Status == STORED
    assert [batch.cines for batch in spool.batches()] == [1]
    (left,) = spool.incoming.iterdir()
    for now_s, is_there in ((0.0, True), (500.0, True), (601.0, False)):
        spool.sweep_incoming(600.0, now_s)
        assert left.exists() == is_there, "for a while it may still grow"
    gc.collect()  # the library's own file object, whose end pytest would tell of elsewhere


class _Cut:
    """A socket that hangs up after half of what is to be sent."""

    def __init__(self, whole: socket.socket, size: int) -> None:
        self._whole, self._left = whole, size // 2

    def send(self, data: bytes) -> int:
        self._left -= len(data)
        if self._left < 0:
            self._whole.shutdown(socket.SHUT_RDWR)
        return self._whole.send(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def test_garbage_and_silence_hold_nobody_up(spool: Spool, frames: Any) -> None:
    with serve(spool) as port, socket.create_connection((HOST, port)) as silent:
        with socket.create_connection((HOST, port)) as garbage:
            garbage.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        assert store(port, make_cine(frames)).Status == STORED
        assert silent is not None


def test_a_sender_that_stops_in_the_middle_of_a_word_loses_its_place(
    spool: Spool, frames: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurosono.node.receiver.MOST_ASSOCIATIONS", 1)
    monkeypatch.setattr("neurosono.node.door.IDLE_S", 0.5)
    with serve(spool) as port:
        stopped = associate(port, Verification)
        assert stopped.is_established
        stopped.dul.socket.socket.sendall(b"\x04\x00" + (1000).to_bytes(4, "big") + bytes(10))

        def has_room() -> bool:
            tried = associate(port, Verification)
            tried.release()
            return bool(tried.is_released)

        def has_stored() -> bool:  # who has just left may still hold the one place for a moment
            with contextlib.suppress(AssertionError):
                return bool(store(port, make_cine(frames)).Status == STORED)
            return False

        try:
            wait_until(has_room)
            wait_until(has_stored)
        finally:
            stopped.abort()


def test_who_hangs_up_without_a_word_holds_no_place(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever looks whether a port is open: such a place was held for half a minute."""
    monkeypatch.setattr("neurosono.node.receiver.MOST_ASSOCIATIONS", 1)
    monkeypatch.setattr("neurosono.node.receiver.HANDSHAKE_S", 600.0)
    with serve(spool) as port:
        for _ in range(3):
            socket.create_connection((HOST, port)).close()

        def has_room() -> bool:
            tried = associate(port, Verification)
            tried.release()
            return bool(tried.is_released)

        wait_until(has_room, 60)


def is_heard(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether the node goes on to listen after a handshake, or a word without one."""
    try:
        with socket.create_connection((HOST, port), 20) as plain:
            if context is None:
                plain.sendall(b"\x01" * 64)
                return plain.recv(1) not in (b"", b"\x15")  # a TLS alert is none either
            with context.wrap_socket(plain, server_hostname=HOST) as wrapped:
                wrapped.sendall(b"\x01")
                wrapped.settimeout(2)
                return bool(wrapped.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False


def test_with_mutual_tls_only_a_certificate_opens(spool: Spool, tmp_path: Path) -> None:
    clinic = make_authority(tmp_path / "clinic")
    ours, scanner = clinic.issue("node"), clinic.issue("scanner")
    stranger = make_authority(tmp_path / "stranger").issue("scanner", trusting=clinic)
    tls = Listening(HOST, 0, TITLE, (), ours)
    with serve(spool, listening=tls) as port, socket.create_connection((HOST, port)):
        context = scanner.make_context(listening=False)
        known = associate(port, Verification, tls_args=(context, HOST))
        assert known.send_c_echo().Status == STORED
        known.release()
        assert not is_heard(port, stranger.make_context(listening=False)), "vouched for by others"
        nameless = ssl.create_default_context(cafile=scanner.cafile)
        assert not is_heard(port, nameless), "no certificate"
        assert not is_heard(port, None), "no DICOM without TLS"
    with (
        pytest.raises(InputError, match="TLS files cannot be used"),
        serve(spool, listening=replace(tls, tls=replace(ours, cafile=ours.keyfile))),
    ):
        pass


def test_a_port_that_is_taken_is_refused(spool: Spool) -> None:
    with (
        serve(spool) as port,
        pytest.raises(InputError, match="choose another --port"),
        serve(spool, listening=replace(LISTENING, port=port)),
    ):
        pass
