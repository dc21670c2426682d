import socket
import time

import numpy as np
import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.mailbox import PICTURE_CREDIT
from neurosono.stream.page.protocol import MessageKind
from neurosono.stream.page.viewing import MAX_REFUSED
from neurosono.stream.page.web import WebServer
from neurosono.stream.view import palette
from tests.browser.publisher import make_status
from tests.stream.page.serving import BEARER, get, port_of, receive, serving, watch
from tests.support.commands import wait_until

GREY = np.full((300, 400), 90, dtype=np.uint8)


def test_the_page_comes_with_its_notice_its_colours_and_its_guards():
    with serving() as (_, server):
        page = get(server, "/")
        assert page.status_code == 200
        assert NOTICE in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "<style" not in page.text
        assert " style=" not in page.text
        assert " onclick=" not in page.text
        assert "server" not in page.headers
        blue, green, red = palette.class_colour(1)
        colours = get(server, "/page/palette.css")
        assert f"--class-1: #{red:02x}{green:02x}{blue:02x};" in colours.text


def test_every_file_that_the_page_names_is_there_and_nothing_else():
    with serving() as (_, server):
        names = ["app.js", "style.css", "layout.css", "icon.svg"]
        script = get(server, "/page/app.js").text
        names += [
            line.split('"./')[1].split('"')[0] for line in script.splitlines() if '"./' in line
        ]
        assert len(names) > 12
        for name in names:
            assert get(server, f"/page/{name}").status_code == 200, name
        for path in ("/page/..%2fhub.py", "/page/%2e%2e/hub.py", "/page/hub.py", "/docs"):
            assert get(server, path).status_code == 404, path


def test_health_says_whether_the_session_still_speaks():
    with serving() as (hub, server):
        assert get(server, "/healthz").status_code == 503
        hub.publish_status(make_status(1))
        answer = get(server, "/healthz")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
        hub.clock_ns = lambda: time.monotonic_ns() + 5_000_000_000
        assert get(server, "/healthz").json()["ok"] is False


@pytest.mark.parametrize(
    ("ai", "code"), [("AI ON", 200), ("AI OFF", 503), ("AI STARTING", 503), ("NO SIGNAL", 503)]
)
def test_ready_is_a_session_whose_ai_is_on(ai, code):
    with serving() as (hub, server):
        assert get(server, "/readyz").json() == {"ready": False, "ai": "AI STARTING"}
        hub.publish_status({**make_status(1), "ai": ai})
        answer = get(server, "/readyz")
        assert (answer.status_code, answer.json()["ai"]) == (code, ai)
        hub.clock_ns = lambda: time.monotonic_ns() + 5_000_000_000
        assert get(server, "/readyz").json() == {"ready": False, "ai": "silent"}


def test_two_viewers_and_one_sleeps():
    with serving() as (hub, server), watch(server) as awake, watch(server) as asleep:
        for index in range(200):
            hub.publish(GREY, make_status(index))
            head, jpeg = receive(awake, MessageKind.PICTURE)
            assert head["about"]["index"] == index
            assert len(jpeg) > 500
        sleeping = max(hub.mailboxes(), key=lambda box: box.replaced)
        assert sleeping.replaced >= 190
        assert sleeping.sent < 20
        assert hub.counts.painted >= 199  # the last acknowledgement may still be under way
        assert receive(asleep, MessageKind.PICTURE)[0]["about"]["index"] < 100  # what waited in TCP


def test_a_viewer_that_never_reads_costs_no_memory_and_no_time():
    noise = np.random.default_rng(0).integers(0, 255, (600, 800), dtype=np.uint8)
    with serving() as (hub, server), watch(server) as awake:
        deaf = open_deaf_viewer(port_of(server))
        try:
            hub.publish(noise, make_status(0))
            receive(awake, MessageKind.PICTURE)
            before = psutil.Process().memory_info().rss
            worst_s = 0.0
            for index in range(150):  # 150 times 400 kB would be 60 MB
                began_s = time.monotonic()
                hub.publish(noise, make_status(index))
                worst_s = max(worst_s, time.monotonic() - began_s)
                receive(awake, MessageKind.PICTURE)
            assert hub.viewers() == 2
            assert psutil.Process().memory_info().rss - before < 20e6
            assert worst_s < 0.25
        finally:
            deaf.close()


def open_deaf_viewer(port: int) -> socket.socket:
    """Return a connection that shook hands and reads nothing more, with a small buffer."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    lines = (
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: {BEARER['authorization']}",
        f"Origin: http://127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    deaf.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    heard = b""
    while b'"hello"' not in heard:  # the greeting comes once the viewer is attached
        heard += deaf.recv(64)
    assert heard.startswith(b"HTTP/1.1 101")
    return deaf


def test_stop_ends_also_for_a_viewer_that_never_reads():
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1600), dtype=np.uint8)
    with serving() as (hub, server):
        deaf = open_deaf_viewer(port_of(server))
        assert hub.viewers() == 1
        (mailbox,) = hub.mailboxes()
        while mailbox.sent < 2:  # more than the kernel takes off our hands
            hub.publish(noise, make_status(0))
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 3.0
        assert hub.viewers() == 0
        open_yet = [one for one in psutil.Process().net_connections("tcp") if one.laddr]
        assert port_of(server) not in [one.laddr.port for one in open_yet]
        deaf.close()


def test_commands_reach_the_session_and_nonsense_ends_the_connection():
    with serving() as (hub, server), watch(server) as client:
        client.send('{"command": "keep", "fields": {"index": 7, "seq": 3}}')
        client.send('{"command": "format-disk"}')
        client.send('{"command": "end-exam"}')
        asked = []
        while len(asked) < 2:
            asked += hub.commands()
        assert [command.name for command in asked] == ["keep", "end-exam"]
        assert asked[0].fields == {"index": 7, "seq": 3, "viewer": 1}
        assert hub.counts.commands_refused == 1
        for _ in range(MAX_REFUSED - 1):
            client.send(b"\x00\x01")
        with pytest.raises(ConnectionClosed):
            receive(client, MessageKind.PICTURE)


@pytest.mark.parametrize("t_ms", ["9" * 400, "1e999", "NaN", "-1e300", '"1"', "null"])
def test_a_clock_that_is_none_is_refused_and_the_viewer_stays(t_ms):
    with serving() as (hub, server), watch(server) as client:
        client.send(f'{{"ack": 1, "t_ms": {t_ms}}}')
        wait_until(lambda: hub.counts.commands_refused == 1)
        hub.publish_status(make_status(1))
        receive(client, MessageKind.STATUS)


def test_a_read_only_screen_asks_for_nothing():
    with serving(read_only=True) as (hub, server), watch(server, read_only=True) as client:
        client.send('{"command": "new-exam"}')
        client.send('{"ack": 99, "t_ms": 1}')
        for index in range(PICTURE_CREDIT + 1):  # the last needs an answer that came after those
            hub.publish(GREY, make_status(index))
            receive(client, MessageKind.PICTURE)
        assert hub.commands() == []
        assert hub.counts.commands_refused == 1


def test_a_port_that_is_taken_is_said_in_a_sentence():
    with serving() as (_, server), pytest.raises(InputError, match="choose another port"):
        WebServer(Hub(), port=port_of(server)).start()
