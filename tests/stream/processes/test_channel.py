"""The channel: lossless or newest-wins, and every message accounted for."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from neurosono.engine.contracts.errors import WireError
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.stream.processes.channel import (
    Endpoints,
    Inlet,
    Outlet,
    await_any,
    make_socket_folder,
    open_socket,
    remove_socket_folder,
)
from neurosono.stream.processes.wire import Event, pack


@pytest.fixture
def folder() -> Iterator[Path]:
    where = make_socket_folder()
    yield where
    remove_socket_folder(where)
    assert not where.exists()


@pytest.fixture
def sockets(folder: Path) -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    endpoint = Endpoints.in_folder(folder).frames
    with (
        zmq.Context() as context,
        open_socket(context, endpoint, bind=True) as sender,
        open_socket(context, endpoint, bind=False) as receiver,
    ):
        yield sender, receiver


def name_of(inlet: Inlet) -> str:
    received = inlet.receive(2000)
    assert received is not None
    assert isinstance(received.message, Event)
    return received.message.name


def test_a_lossless_sender_waits_for_credit_and_keeps_order(
    sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    outlet, inlet = Outlet(sockets[0], print), Inlet(sockets[1], window=2)
    names = [f"m{index}" for index in range(20)]
    thread = threading.Thread(
        target=lambda: [outlet.send_waiting(Event(name), lambda: False) for name in names]
    )
    thread.start()
    got = []
    for _ in names:
        got.append(name_of(inlet))
        inlet.give_credit()
    thread.join(5)
    assert got == names


def test_a_lossless_sender_without_credit_stops_when_told(
    sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    outlet = Outlet(sockets[0], print)
    assert not outlet.send_waiting(Event("never"), lambda: True)


def test_the_newest_wins_and_the_displaced_are_handed_back(
    sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    outlet, inlet = Outlet(sockets[0], print), Inlet(sockets[1])
    displaced = [outlet.send_newest(Event(f"m{index}")) for index in range(5)]
    assert displaced == [None, *(Event(f"m{index}") for index in range(4))]
    inlet.give_credit()
    assert outlet.flush(lambda: False) is None
    assert name_of(inlet) == "m4"
    assert inlet.receive(0) is None


def test_what_was_never_sent_comes_back_at_the_end(
    sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    outlet = Outlet(sockets[0], print)
    outlet.send_newest(Event("held"))
    assert outlet.flush(lambda: True) == Event("held")


def test_small_messages_never_wait_for_a_peer(folder: Path) -> None:
    endpoint = Endpoints.in_folder(folder).frames
    with zmq.Context() as context, open_socket(context, endpoint, bind=True) as lonely:
        outlet = Outlet(lonely, print)
        for index in range(3):
            outlet.send_always(Event(f"m{index}"))
        with open_socket(context, endpoint, bind=False) as late:
            inlet = Inlet(late, window=1)
            assert outlet.flush(lambda: False) is None
            assert [name_of(inlet) for _ in range(3)] == ["m0", "m1", "m2"]


def test_another_receiver_is_counted_anew(folder: Path) -> None:
    endpoint = Endpoints.in_folder(folder).frames
    with zmq.Context() as context, open_socket(context, endpoint, bind=True) as sender:
        outlet = Outlet(sender, print)
        with open_socket(context, endpoint, bind=False) as first:
            Inlet(first, window=9)
            outlet.pump(2000)
        with open_socket(context, endpoint, bind=False) as second:
            inlet = Inlet(second)
            inlet._epoch = -1
            inlet.give_credit(1)
            outlet.pump(2000)
            assert outlet.send_waiting(Event("one"), lambda: True)
            assert not outlet.send_waiting(Event("two"), lambda: True)


def test_what_the_receiver_says_is_heard(
    sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    heard: list[Event] = []
    outlet, inlet = Outlet(sockets[0], heard.append), Inlet(sockets[1])
    inlet.tell(Event("engine-on"))
    outlet.pump(2000)
    assert heard == [Event("engine-on")]


def test_whichever_of_two_comes_first_ends_the_wait(
    folder: Path, sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
) -> None:
    endpoint = Endpoints.in_folder(folder).results
    with zmq.Context() as context, open_socket(context, endpoint, bind=True) as other:
        quiet, inlet = Inlet(other), Inlet(sockets[1], 1)
        await_any(0, quiet, inlet)
        assert inlet.receive(0) is None
        outlet = Outlet(sockets[0], print)
        outlet.pump(5000)  # until the credit is here: the two are connected
        outlet.send_always(Event("here"))
        await_any(5000, quiet, inlet)
        assert inlet.receive(0) is not None
        assert quiet.receive(0) is None


def test_a_stranger_on_the_socket_is_refused(
    sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]],
) -> None:
    outlet = Outlet(sockets[0], print)
    sockets[1].send(b"hello")
    with pytest.raises(WireError, match="none of ours"):
        outlet.pump(2000)


def test_the_folder_is_private(folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    assert len(pack(Event("x"))) > 0


def test_frames_for_an_engine_that_died_do_not_reach_the_next(folder: Path) -> None:
    endpoint = Endpoints.in_folder(folder).frames
    with zmq.Context() as context, open_socket(context, endpoint, bind=True) as sender:
        outlet = Outlet(sender, print)
        outlet.send_always(Frame("s", 0, 0, 0.0, None, SkipReason.FROZEN))
        outlet.send_always(Event("new-exam"))
        outlet.forget_frames()
        with open_socket(context, endpoint, bind=False) as receiver:
            inlet = Inlet(receiver, window=1)
            outlet.flush(lambda: False)
            assert name_of(inlet) == "new-exam"


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5555", "inproc://frames", "pgm://a;b", ""])
@pytest.mark.parametrize("bind", [True, False])
def test_a_channel_that_leaves_the_machine_is_refused(endpoint: str, bind: bool) -> None:
    with zmq.Context() as context, pytest.raises(WireError, match="ipc://PATH"):
        open_socket(context, endpoint, bind=bind)
