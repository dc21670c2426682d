"""Who floods, or stands at the door and says nothing, costs the others nothing."""

import contextlib
import os
import resource
import socket
import time

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from neurosono.engine.contracts.errors import RunError
from neurosono.stream.page.allowance import NS, Allowance
from neurosono.stream.page.door import MAX_LEAVING, MAX_WAITING, MAX_WAITING_NS, Door
from neurosono.stream.page.hub import (
    COMMANDS_BURST,
    GIVES_WAY_NS,
    MAX_VIEWERS,
    NEW_EXAMS_BURST,
    Command,
    Hub,
)
from neurosono.stream.page.protocol import MessageKind
from neurosono.stream.page.viewing import WORDS_BURST
from neurosono.stream.page.web import WebServer
from tests.browser.publisher import make_status
from tests.stream.page.serving import get, port_of, receive, serving, watch
from tests.stream.page.test_access import make_certificate


class Clock:
    now_ns = 10**15

    def __call__(self) -> int:
        return self.now_ns


def test_an_allowance_is_a_burst_and_then_a_rate():
    allowed = Allowance(rate_hz=2.0, burst=3)
    assert [allowed.take(5 * NS) for _ in range(4)] == [True, True, True, False]
    assert [allowed.take(5 * NS + NS // 2) for _ in range(2)] == [True, False]
    assert [allowed.take(60 * NS) for _ in range(4)] == [True, True, True, False]


def test_a_flood_of_commands_makes_three_exams_and_not_sixty_six():
    clock = Clock()
    hub = Hub(clock_ns=clock)
    taken = []
    for _ in range(600):  # six seconds of a hundred a second, drained as a session does
        hub.ask(Command("new-exam"))
        taken += hub.commands()
        clock.now_ns += NS // 100
    assert len(taken) == NEW_EXAMS_BURST
    assert hub.counts.commands_refused == 600 - len(taken)
    clock.now_ns += 10 * NS
    assert hub.ask(Command("new-exam"))


def test_other_commands_are_limited_over_all_screens():
    clock = Clock()
    hub = Hub(clock_ns=clock)
    for _ in range(200):
        hub.ask(Command("keep", {"index": 1}))
        hub.commands()
    assert hub.counts.commands == COMMANDS_BURST


def test_who_floods_is_hung_up_on_and_may_come_again():
    with serving() as (hub, server):
        with watch(server) as client, pytest.raises(ConnectionClosed):
            flood(client)
        with watch(server) as client:
            hub.publish_status(make_status(1))
            assert receive(client, MessageKind.STATUS)


def flood(client: ClientConnection) -> None:
    for _ in range(WORDS_BURST * 20):
        client.send('{"ack": 1, "t_ms": 1}')
    client.recv(timeout=60)


def test_a_viewer_that_owes_an_answer_gives_its_place_to_one_that_asks():
    clock = Clock()
    hub = Hub(clock_ns=clock)
    woken: list[int] = []
    boxes = [hub.attach(lambda place=place: woken.append(place)) for place in range(MAX_VIEWERS)]
    hub.publish_status(make_status(1))
    for box in boxes:
        assert box.take(clock.now_ns) is not None
    for box in boxes[1:]:
        box.answer(1, 0.0, clock.now_ns)
    with pytest.raises(RunError, match="close one of them"):
        hub.attach(lambda: None)
    clock.now_ns += GIVES_WAY_NS
    woken.clear()
    hub.attach(lambda: None)
    assert (boxes[0].closed, woken) == (True, [0])
    assert hub.viewers() == MAX_VIEWERS
    with pytest.raises(RunError, match="close one of them"):
        hub.attach(lambda: None)


def test_sixteen_silent_sockets_cannot_keep_the_seventeenth_out():
    with serving() as (hub, server):
        clock = Clock()
        hub.clock_ns = clock
        mute = [watch(server) for _ in range(MAX_VIEWERS)]
        for one in mute:
            one.__enter__()
        hub.clock_ns = lambda: time.monotonic_ns() + GIVES_WAY_NS
        hub.publish_status(make_status(1))
        while not all(box.sent for box in hub.mailboxes()):
            time.sleep(0.01)
        with watch(server) as client:
            hub.publish_status(make_status(2))
            assert receive(client, MessageKind.STATUS)
        for one in mute:
            one.__exit__(None, None, None)


@pytest.mark.parametrize("encrypted", [False, True])
def test_hundreds_of_silent_connections_take_no_place_from_a_page(tmp_path, encrypted):
    files = make_certificate(tmp_path) if encrypted else (None, None)
    with serving(certfile=files[0], keyfile=files[1]) as (hub, server):
        before = psutil.Process().num_fds()
        silent = knock(server, 300)
        for number, one in enumerate(silent):
            if number % 3:  # a handshake, or a header, that is not gone on with
                begun = b"\x16\x03\x01" if encrypted else b"GET / HTTP/1.1\r\nHost:"
                send(one, begun)
        most = 0
        while server.turned_away < 300 - MAX_WAITING:
            most = max(most, psutil.Process().num_fds() - before - len(silent))
            time.sleep(0.001)
        assert most <= MAX_WAITING + MAX_LEAVING + 1
        if not encrypted:
            assert get(server, "/").status_code == 200
            with watch(server) as client:
                silent += knock(server, 2 * MAX_WAITING)  # a viewer stays, whoever comes
                hub.publish_status(make_status(2))
                assert receive(client, MessageKind.STATUS)
        for one in silent:
            one.close()


def knock(server: WebServer, times: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port_of(server))) for _ in range(times)]


def send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it was hung up on already
        connection.sendall(data)


def test_whoever_stands_at_the_door_for_too_long_is_hung_up_on():
    clock = Clock()
    with Door(socket.AF_INET, socket.SOCK_STREAM, clock) as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        silent = socket.create_connection(door.getsockname())
        viewer = socket.create_connection(door.getsockname())
        accepted = [door.accept() for _ in range(2)]
        door.admit(viewer.getsockname())
        clock.now_ns += MAX_WAITING_NS + 1
        door.sweep()
        assert silent.recv(1) == b""
        assert (door.waiting(), door.turned_away) == (0, 1)
        accepted[1][0].sendall(b"!")
        assert viewer.recv(1) == b"!"
        for one in (silent, viewer, accepted[0][0], accepted[1][0]):
            one.close()


def test_without_a_descriptor_a_connection_is_refused_and_no_core_is_burned(capfd):
    with serving() as (_, server):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        knocking = [socket.socket() for _ in range(30)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 2, hard))
        taken: list[int] = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            assert taken
            for one in knocking:
                one.connect(("127.0.0.1", port_of(server)))
            for one in knocking:
                one.settimeout(60)
                assert one.recv(1) == b""
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for one in knocking:
                one.close()
        assert get(server, "/").status_code == 200
    assert capfd.readouterr().err == ""
