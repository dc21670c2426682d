"""What capture remembers of the frames that it sent: those that may still have to be counted."""

import select
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.stream.capture.options import Pace
from neurosono.stream.capture.sender import Capture
from neurosono.stream.intake.intake import Taken
from neurosono.stream.processes.channel import (
    Endpoints,
    Inlet,
    Outlet,
    make_socket_folder,
    open_socket,
    remove_socket_folder,
)
from neurosono.stream.processes.child import Stop
from neurosono.stream.processes.wire import Event
from neurosono.stream.sources.live.latest import Latest
from tests.support.commands import wait_until

PIXELS = np.zeros((4, 4), np.uint8)


def take(seq: int) -> Taken:
    reason = SkipReason.FROZEN if seq % 3 else None
    frame = Frame("s", seq, seq, seq / 25, PIXELS if reason is None else None, reason)
    return Taken(DisplayFrame("s", seq, seq, seq / 25, PIXELS, seq, reason), frame)


class Session:
    """A capture between an engine and a display that are played by the test."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoints: Endpoints) -> None:
        self.sockets = [
            open_socket(context, endpoint, bind=bind)
            for endpoint in (endpoints.frames, endpoints.display)
            for bind in (True, False)
        ]
        frames, engine, display, screen = self.sockets
        outlets = Outlet(frames, self.hear), Outlet(display, self.hear)
        self.engine, self.screen = Inlet(engine, 1), Inlet(screen, 1)
        self.capture = Capture(*outlets, Stop(), Pace.LIVE)

    def hear(self, event: Event) -> None:
        self.capture.hear(event)

    def send(self, first_seq: int, count: int) -> None:
        for seq in range(first_seq, first_seq + count):
            self.capture.send(take(seq))

    def read_unjudged(self) -> list[int]:
        """Return the frames that come before the word that ends them."""
        self.capture.tell(Event("that-was-all"))
        found: list[int] = []

        def is_all() -> bool:
            self.capture.wait(0)  # what was sent before the peer had come goes now
            while (received := self.screen.receive(0)) is not None:
                if received.message == Event("that-was-all"):
                    return True
                if isinstance(received.message, Frame):
                    found.append(received.message.seq)
            return False

        wait_until(is_all)
        return found


@pytest.fixture
def session() -> Iterator[Session]:
    folder = make_socket_folder()
    with zmq.Context() as context:
        made = Session(context, Endpoints.in_folder(folder))
        yield made
        for socket in made.sockets:
            socket.close(linger=0)
    remove_socket_folder(folder)


def test_what_is_recorded_is_forgotten_however_long_a_session_lasts(session: Session) -> None:
    for first_seq in range(0, 2000, 100):
        session.send(first_seq, 100)
        session.capture.hear(Event("recorded", {"next_seq": first_seq + 95}))
        assert session.capture.unanswered == 5


def test_a_dead_engines_frames_are_told_but_for_those_on_record(session: Session) -> None:
    session.send(0, 10)
    session.capture.hear(Event("recorded", {"next_seq": 4}))
    session.capture.hear(Event("engine-off", {"next_seq": 6, "answered": [8]}))
    assert session.read_unjudged() == [6, 7, 9]


def test_a_word_of_the_display_that_comes_by_its_socket_is_heard(session: Session) -> None:
    session.send(0, 10)
    session.screen.tell(Event("recorded", {"next_seq": 10}))

    def is_forgotten() -> bool:
        session.capture.wait(0)
        return session.capture.unanswered == 0

    wait_until(is_forgotten)


def test_a_held_frame_goes_as_soon_as_the_engine_is_free(session: Session) -> None:
    def receive() -> int | None:
        session.capture.wait(0)
        received = session.engine.receive(0)
        return received.message.seq if received and isinstance(received.message, Frame) else None

    session.capture.send(take(0))
    session.capture.send(take(3))  # the engine asked for one: this one is held
    assert wait_until(lambda: receive() == 0)
    wait_until(lambda: not session.capture.wait(20) and session.screen.receive(0) is None)
    begun_s = time.monotonic()
    free = threading.Timer(0.05, session.engine.give_credit)
    free.start()
    session.capture.wait(30_000)
    received = session.engine.receive(5_000)
    free.join()
    assert received is not None
    assert isinstance(received.message, Frame)
    assert received.message.seq == 3
    assert time.monotonic() - begun_s < 20, "the credit ended the wait"


def test_a_new_picture_ends_the_wait(session: Session) -> None:
    slot: Latest[int] = Latest()
    came = threading.Timer(0.05, slot.put, (7,))
    came.start()
    begun_s = time.monotonic()
    wait_until(lambda: not session.capture.wait(30_000, slot.fileno()) and slot.take(0) == 7)
    came.join()
    assert time.monotonic() - begun_s < 20
    assert select.select([slot], [], [], 0)[0] == [], "what was taken calls nobody any more"
    slot.wake()
    assert select.select([slot], [], [], 5)[0] == [slot]
    slot.close()
    slot.put(8)


def test_another_exam_begins_for_every_engine_after_the_frames_before_it(
    session: Session,
) -> None:
    session.send(0, 4)  # the last one waits for a credit
    session.screen.tell(Event("new-exam"))
    frames: list[int] = []
    begun: list[object] = []

    def has_begun() -> bool:
        session.capture.wait(0)
        while (received := session.engine.receive(0)) is not None:
            match received.message:
                case Frame() as frame:
                    assert not begun
                    frames.append(frame.seq)
                case Event(name="new-exam", fields=fields):
                    begun.append(fields["first_seq"])
        return bool(begun)

    wait_until(has_begun)
    assert begun == [4]
    assert sorted(frames) == [0, 1, 2, 3]
