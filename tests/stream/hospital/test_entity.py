"""Whoever hangs up first, of an association no socket is left for Python's collector to close."""

import contextlib
import gc
import socket
import struct
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    Verification,
)

from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.stream.hospital.associate import associate
from neurosono.stream.hospital.commitment import Instance, asking_commitment, tell_commitment
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.hospital.entry import read_entry
from neurosono.stream.hospital.mpps import tell_start
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.outbox import Step
from neurosono.stream.hospital.query import UTF_8, Question, answer_question, name_today
from neurosono.stream.hospital.tls import Tls
from neurosono.stream.study.send import send_dicom
from tests.support.certificates import make_authority
from tests.support.cines import draw_frames, make_cine
from tests.support.commands import wait_until
from tests.support.senders import HOST, free_tcp_port
from tests.support.worklists import make_entry

CINE = make_cine(draw_frames(2))
ASKED = [Instance(str(CINE.SOPClassUID), str(CINE.SOPInstanceUID))]


def store(node: Node) -> None:
    send_dicom([CINE], node)


def find(node: Node) -> None:
    answer_question(Question(node, name_today()))


def tell_step(node: Node) -> None:
    entry = read_entry(make_entry("Nobody", "A-1"), UTF_8)
    tell_start(Step.begin(node, time.time_ns()), "1", entry)


def ask_commitment(node: Node) -> None:
    with asking_commitment(node, "1.2.3", ASKED, lambda _: (0x0000, None)):
        pass


def report_commitment(node: Node) -> None:
    tell_commitment(node, "1.2.3", ASKED, {})


def echo(node: Node) -> None:
    association = associate(node, {Verification: None}, 10.0, NeurosonoError)
    if "Status" not in association.send_c_echo():
        raise NeurosonoError("it hung up")
    association.release()


SENDERS = [store, find, tell_step, ask_commitment, report_commitment, echo]


@contextlib.contextmanager
def leaving_nothing() -> Iterator[None]:
    """Fail where a socket of what happens within the block is closed by the collector."""
    before = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        yield
        wait_until(lambda: set(threading.enumerate()) <= before, 60)
        gc.collect()
    assert not [str(each.message) for each in told]


def reset(event: evt.Event) -> Any:
    """Hang up at once, with what was said unheard."""
    line = event.assoc.dul.socket.socket
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()
    return 0x0110


def reset_steps(event: evt.Event) -> tuple[int, None]:
    return int(reset(event)), None


def reset_entries(event: evt.Event) -> Iterator[tuple[int, None]]:
    yield int(reset(event)), None


@contextlib.contextmanager
def resetting(tls: Tls | None = None) -> Iterator[Node]:
    """Serve as a node that takes every association, and resets it at the first word."""
    entity = Entity(ae_title="ODD")
    entity.add_supported_context(str(CINE.SOPClassUID))
    for each in (Verification, ModalityWorklistInformationFind, ModalityPerformedProcedureStep):
        entity.add_supported_context(each)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers: list[tuple[Any, Callable[[evt.Event], Any]]] = [
        (evt.EVT_C_STORE, reset),
        (evt.EVT_C_ECHO, reset),
        (evt.EVT_C_FIND, reset_entries),
        (evt.EVT_N_CREATE, reset_steps),
        (evt.EVT_N_ACTION, reset_steps),
        (evt.EVT_N_EVENT_REPORT, reset_steps),
    ]
    context = None if tls is None else tls.make_context(listening=True)
    server = entity.start_server((HOST, 0), block=False, evt_handlers=handlers, ssl_context=context)
    try:
        yield Node("ODD", HOST, server.socket.getsockname()[1])
    finally:
        server.shutdown()


@pytest.mark.parametrize("send", SENDERS)
def test_a_peer_that_resets_leaves_no_socket(send: Callable[[Node], None]) -> None:
    with leaving_nothing(), resetting() as node, pytest.raises(NeurosonoError):
        send(node)


def hang_up(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()


def test_nor_does_one_that_is_away_or_hangs_up_unasked() -> None:
    with leaving_nothing():
        with pytest.raises(NeurosonoError, match="is not there"):
            echo(Node("ODD", HOST, free_tcp_port()))
        with socket.create_server((HOST, 0)) as listener:
            thread = threading.Thread(target=hang_up, args=(listener,))
            thread.start()
            with pytest.raises(NeurosonoError, match="does not answer as a DICOM node"):
                echo(Node("ODD", HOST, listener.getsockname()[1]))
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_nor_by_tls(tmp_path: Path) -> None:
    clinic = make_authority(tmp_path / "clinic")
    stranger = make_authority(tmp_path / "stranger").issue("us", trusting=clinic)
    with leaving_nothing(), resetting(clinic.issue("pacs")) as plain:
        for ours in (clinic.issue("us"), stranger, None):
            with pytest.raises(NeurosonoError):
                store(Node(plain.title, plain.host, plain.port, tls=ours))
