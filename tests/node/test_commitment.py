"""Storage commitment: the node asks the PACS, passes on what that says, and promises nothing."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UltrasoundMultiFrameImageStorage, generate_uid
from pynetdicom import evt

from neurosono.node.commitments import Commitments, RequestStanding, tell_request
from neurosono.node.committing import DUPLICATE, INVALID, NO_SUCH_ACTION, NOT_ALLOWED, Committing
from neurosono.node.options import Judging, Limits, Listening
from neurosono.node.receiver import Receiver, listen
from neurosono.node.spool import Spool
from neurosono.stream.hospital.clock import QueueClock
from neurosono.stream.hospital.commitment import (
    COMMITMENT,
    INSTANCE,
    UNKNOWN,
    Instance,
    describe_report,
    read_request,
)
from neurosono.stream.hospital.commitment import FAILED as UNSAFE
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.hospital.node import OWN_TITLE, Node, parse_node
from neurosono.stream.sources.limits import MediaLimits
from neurosono.stream.study.send import send_dicom
from tests.node.associations import listening as listening_alone
from tests.node.associations import store
from tests.support.cines import make_cine
from tests.support.commands import wait_until
from tests.support.commitment import Heard, ask, asking, name, serving
from tests.support.nodes import serving as serving_node
from tests.support.orthanc import serving_orthanc
from tests.support.senders import HOST, free_tcp_port

TITLE, SCANNER, PACS = "NODE", "SCANNER1", "PACS"
ASKED = [Instance(str(UltrasoundMultiFrameImageStorage), str(generate_uid())) for _ in range(3)]
DAY_NS = 86_400 * 10**9


def test_a_scanner_hears_what_the_pacs_says(tmp_path: Path, bundle_root: Path, frames: Any) -> None:
    safe, missing = make_cine(frames[:3]), make_cine(frames[:3])
    scanner, port, heard = free_tcp_port(), free_tcp_port(), Heard()
    (tmp_path / "pacs").mkdir()
    with serving_orthanc(tmp_path / "pacs", knows={OWN_TITLE: port}) as pacs:
        send_dicom([safe], parse_node(pacs.node, "US2"))
        to = ["--send", pacs.node, "--allow", f"US2@{HOST}:{scanner}"]
        with (
            serving("US2", scanner, (evt.EVT_N_EVENT_REPORT, heard.hear)),
            serving_node(tmp_path / "node", bundle_root, *to, port=port) as node,
        ):
            with asking(port, "US2", called=OWN_TITLE) as association:
                number, status = ask(association, name(safe, missing))
                later, second = ask(association, name(safe))
            assert status == second == 0x0000
            node.wait("commitment 1 of US2: told: the PACS has committed 1 of 2 instances")
            node.wait("commitment 2 of US2: told: the PACS has committed 1 of 1 instances")
            wait_until(lambda: len(heard.reports) == 2)
    told = {report.transaction: (event, report) for event, report in heard.reports}
    (event, report), (whole, other) = told[number], told[later]
    assert event == 2
    assert report.safe == {*name(safe)}
    assert report.failed == {missing.SOPInstanceUID: UNKNOWN}
    assert (whole, other.safe, other.failed) == (1, {*name(safe)}, {})
    kept = (tmp_path / "node" / "commitments.sqlite").read_bytes()
    assert not any(uid.encode() in kept for uid in (*name(safe, missing)[0], number))


def test_what_was_taken_is_told_although_all_are_killed(tmp_path: Path) -> None:
    """The PACS answers a node that is killed, and the scanner listens only later."""
    scanner, heard, taken = free_tcp_port(), Heard(), []

    def take(event: Any) -> tuple[int, None]:
        taken.append(read_request(event.action_information))
        return 0x0000, None

    with serving(PACS, 0, (evt.EVT_N_ACTION, take)) as pacs:
        more = ["--send", f"{PACS}@{HOST}:{pacs}", "--allow", f"{SCANNER}@{HOST}:{scanner}"]
        with listening_alone(tmp_path / "node", more=more) as node:
            with asking(node.port, SCANNER) as association:
                number, status = ask(association, ASKED)
            assert status == 0x0000
            wait_until(lambda: taken)
            os.kill(node.process.pid, signal.SIGKILL)
        (ours, asked), said = taken[0], {ASKED[1].sop_instance: UNKNOWN}
        assert ours != number
        with listening_alone(tmp_path / "node", more=more) as node:
            report(node.port, describe_report(ours, asked, said), 2)
            os.kill(node.process.pid, signal.SIGKILL)
        with (
            listening_alone(tmp_path / "node", more=more),
            serving(SCANNER, scanner, (evt.EVT_N_EVENT_REPORT, heard.hear)),
        ):
            wait_until(lambda: heard.reports)
    ((event, told),) = heard.reports
    assert (event, told.transaction, told.failed) == (2, number, said)
    assert told.safe == {ASKED[0], ASKED[2]}


def report(port: int, told: Any, event: int, title: str = PACS) -> int:
    """Report to a node as a PACS does, on an association of its own; returns what it answers."""
    from pynetdicom import build_role

    entity = Entity(ae_title=title)
    entity.add_requested_context(COMMITMENT)
    role = [build_role(COMMITMENT, scp_role=True)]
    association = entity.associate(HOST, port, ae_title=TITLE, ext_neg=role)
    assert association.is_established
    status, _ = association.send_n_event_report(told, event, COMMITMENT, INSTANCE)
    association.release()
    return int(status.Status)


class Desk:
    """A node's ears and its requests, whose clock the test sets; looks when the test says so."""

    def __init__(self, folder: Path, pacs: int, scanner: int | None) -> None:
        self.up_ns = 10**9
        self.queue = Commitments(folder, lambda at: QueueClock(at, up_ns=lambda: self.up_ns))
        known = () if scanner is None else (Node(SCANNER, HOST, scanner),)
        self.listening = Listening(HOST, 0, TITLE, (SCANNER,), scanners=known)
        self.committing = Committing(self.queue, self.listening, Judging(Node(PACS, HOST, pacs)))

    def look(self, later_ns: int = 10**9) -> Any:
        """Look once, so much later; returns how the first request stands."""
        self.up_ns += later_ns
        self.committing.look()
        return self.queue.find(1)


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Any]:
    """Return a function that opens a desk with its ears."""
    import contextlib

    with contextlib.ExitStack() as stack, Spool(tmp_path / "node") as spool:

        def open_desk(pacs: int, scanner: int | None = None) -> tuple[Desk, int]:
            desk = Desk(spool.folder, pacs, scanner)
            stack.callback(desk.queue.close)
            receiver = Receiver(spool, Limits(), MediaLimits(), desk.listening)
            heard = listen(desk.listening, receiver, spool.incoming, desk.committing)
            return desk, stack.enter_context(heard)

        yield open_desk


def test_who_has_no_address_is_told_on_the_association_that_is_open(ears: Any) -> None:
    """This PACS reports on the very association on which it was asked."""
    told = Heard()

    def take(event: Any) -> tuple[int, None]:
        ours, asked = read_request(event.action_information)
        answer(event.assoc, describe_report(ours, asked, {}))
        return 0x0000, None

    def answer(association: Any, what: Any) -> None:
        import threading

        def send() -> None:
            association.send_n_event_report(what, 1, COMMITMENT, INSTANCE)

        threading.Timer(0.2, send).start()  # once its own answer is out

    with serving(PACS, 0, (evt.EVT_N_ACTION, take)) as pacs:
        desk, port = ears(pacs)
        with asking(port, SCANNER, told) as association:
            number, _ = ask(association, ASKED)
            assert desk.look().standing is RequestStanding.ANSWERED
            assert desk.look().standing is RequestStanding.TOLD
        ((event, said),) = told.reports
        assert (event, said.transaction, said.safe) == (1, number, frozenset(ASKED))
        with asking(port, SCANNER) as association:
            ask(association, ASKED)
        desk.look()
        desk.look()
        (_, given_up) = desk.queue.list_newest(9)
        assert given_up.standing is RequestStanding.GIVEN_UP
        assert "say where it listens: --allow SCANNER1@HOST:PORT" in tell_request(given_up)


def test_what_nobody_vouches_for_within_a_day_is_not_safe(ears: Any) -> None:
    told, scanner = Heard(), free_tcp_port()
    desk, port = ears(free_tcp_port(), scanner)
    with asking(port, SCANNER) as association:
        ask(association, ASKED)
    row = desk.look()
    assert row.standing is RequestStanding.ASKED
    assert "PACS at 127.0.0.1" in tell_request(row)
    tries = 1
    while (row := desk.look(DAY_NS // 12)).standing is RequestStanding.ASKED:
        tries += 1
    assert tries > 6
    assert row.failed == {each.sop_instance: UNSAFE for each in ASKED}
    with serving(SCANNER, scanner, (evt.EVT_N_EVENT_REPORT, told.hear)):
        told.status = 0x0110
        assert desk.look().standing is RequestStanding.ANSWERED, "it did not take it: told again"
        told.status = 0x0000
        assert desk.look(10 * 10**9).standing is RequestStanding.TOLD
    assert [(event, len(said.failed)) for event, said in told.reports] == [(2, 3), (2, 3)]
    desk.queue.forget(desk.queue.now_ns() + 1)
    assert desk.queue.list_newest(9) == []


def test_a_pacs_that_is_silent_has_a_day_and_says_for_each_or_it_is_not_safe(ears: Any) -> None:
    asked = []

    def take(event: Any) -> tuple[int, None]:
        asked.append(read_request(event.action_information))
        event.assoc.abort()
        return 0x0000, None

    with serving(PACS, 0, (evt.EVT_N_ACTION, take)) as pacs:
        desk, port = ears(pacs, free_tcp_port())
        with asking(port, SCANNER) as association:
            ask(association, ASKED)
            ask(association, ASKED)
        desk.look()
    silent, other = desk.queue.list_newest(9)
    desk.queue.pass_on(silent)
    assert report(port, describe_report(str(generate_uid()), ASKED, {}), 1) == INVALID
    partly = describe_report(other.ours, [ASKED[0]], {})
    assert report(port, partly, 1, SCANNER) == report(port, partly, 1) == 0x0000
    assert desk.queue.find(2).failed == {each.sop_instance: UNSAFE for each in ASKED[1:]}
    assert report(port, describe_report(other.ours, ASKED, {}), 1) == 0x0000
    assert desk.queue.find(2).failed, "what it said first holds"
    row = desk.look(DAY_NS + 10**10)
    assert (row.standing, len(row.failed)) == (RequestStanding.ANSWERED, 3)


def test_what_is_no_request_is_refused_and_one_that_comes_again_is_one(
    ears: Any, frames: Any
) -> None:
    desk, port = ears(free_tcp_port())
    with asking(port, SCANNER) as association:
        number, status = ask(association, ASKED)
        assert status == 0x0000
        assert ask(association, ASKED, number) == (number, 0x0000), "its answer was lost"
        assert ask(association, ASKED[:1], number)[1] == DUPLICATE
        assert ask(association, [])[1] == INVALID
        assert ask(association, ASKED, action=2)[1] == NO_SUCH_ACTION
    assert len(desk.queue.list_newest(9)) == 1
    with asking(port, PACS) as association:
        assert ask(association, ASKED)[1] == NOT_ALLOWED, "it may come in to report alone"
    cine = make_cine(frames[:3])
    assert store(port, cine).Status == 0x0000
    assert store(port, make_cine(frames[:3]), PACS).Status == NOT_ALLOWED


def test_scanners_are_found_by_their_titles() -> None:
    listening = Listening(HOST, 0, TITLE, ("A", "B"), scanners=(Node("B", HOST, 104),))
    assert listening.find_scanner("B") == Node("B", HOST, 104)
    assert listening.find_scanner("A") is None
    assert listening.admits("A")
    assert not listening.admits("C")
    assert replace(listening, allowed=("C",)).admits("C")
