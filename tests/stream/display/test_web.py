import json
import os
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from engine.contracts.errors import InputError
from engine.contracts.notice import NOTICE
from stream import palette
from stream.display.access import Access, split_host
from stream.display.hub import Hub
from stream.display.mailbox import PICTURE_CREDIT
from stream.display.protocol import Kind, unpack
from stream.display.viewing import MAX_REFUSED
from stream.display.web import WebServer
from tests.browser.publisher import make_status

GREY = np.full((300, 400), 90, dtype=np.uint8)
TOKEN = "a-token-of-the-test"


@contextmanager
def serving(**options: Any):
    hub = Hub()
    server = WebServer(hub, **options)
    before = set(threading.enumerate())
    descriptors = psutil.Process().num_fds()
    server.start()
    try:
        yield hub, server
    finally:
        server.stop()
        assert set(threading.enumerate()) <= before, "a thread is left"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port_of(server)), timeout=2)
    assert psutil.Process().num_fds() <= descriptors, "a socket is left"


def port_of(server: WebServer) -> int:
    return urlsplit(server.url).port or 0


def get(server: WebServer, path: str, **options: Any) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port_of(server)}{path}", trust_env=False, **options)


@contextmanager
def watch(server: WebServer, query: str = "", *, read_only: bool = False, **options: Any):
    """Open a viewer's socket; the greeting is read, so from here on the hub knows it."""
    port = port_of(server)
    scheme = urlsplit(server.url).scheme
    options.setdefault("origin", f"{scheme}://127.0.0.1:{port}")
    address = f"{scheme.replace('http', 'ws')}://127.0.0.1:{port}/ws{query}"
    with connect(address, compression=None, proxy=None, max_size=None, **options) as client:
        message = client.recv(timeout=10)
        assert isinstance(message, bytes)
        hello = unpack(message)[1]["hello"]
        assert (hello["late_ms"], hello["read_only"]) == (500, read_only)
        yield client


def receive(client: ClientConnection, kind: Kind) -> tuple[dict[str, Any], bytes]:
    """Return the next message of one kind, acknowledging every one on the way."""
    while True:
        message = client.recv(timeout=10)
        assert isinstance(message, bytes)
        found, head, jpeg = unpack(message)
        if head["n"]:
            client.send(json.dumps({"ack": head["n"], "t_ms": 1.5, "painted": True}))
        if found is kind and (kind is not Kind.STATUS or "about" in head):
            return head, jpeg


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


def test_metrics_count_frames_and_drops():
    with serving() as (hub, server):
        hub.publish_status(make_status(0))
        text = get(server, "/metrics").text
        assert 'neurosono_frames_total{what="dropped"} 4\n' in text
        assert 'neurosono_frames_skipped_total{reason="frozen"} 62\n' in text
        assert "neurosono_ai_on 1\n" in text
        assert "neurosono_age_ms 41.0\n" in text


def test_two_viewers_and_one_sleeps():
    with serving() as (hub, server), watch(server) as awake, watch(server) as asleep:
        for index in range(200):
            hub.publish(GREY, make_status(index))
            head, jpeg = receive(awake, Kind.PICTURE)
            assert head["about"]["index"] == index
            assert len(jpeg) > 500
        sleeping = max(hub.mailboxes(), key=lambda box: box.replaced)
        assert sleeping.replaced >= 190
        assert sleeping.sent < 20
        assert hub.counts.painted >= 199  # the last acknowledgement may still be under way
        assert receive(asleep, Kind.PICTURE)[0]["about"]["index"] < 100  # what waited in TCP


def test_a_viewer_that_never_reads_costs_no_memory_and_no_time():
    noise = np.random.default_rng(0).integers(0, 255, (600, 800), dtype=np.uint8)
    with serving() as (hub, server), watch(server) as awake:
        deaf = open_deaf_viewer(port_of(server))
        try:
            hub.publish(noise, make_status(0))
            receive(awake, Kind.PICTURE)
            before = psutil.Process().memory_info().rss
            worst_s = 0.0
            for index in range(150):  # 150 times 400 kB would be 60 MB
                began_s = time.monotonic()
                hub.publish(noise, make_status(index))
                worst_s = max(worst_s, time.monotonic() - began_s)
                receive(awake, Kind.PICTURE)
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
        for index in range(10):
            hub.publish(noise, make_status(index))
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 3.0
        assert hub.viewers() == 0
        deaf.close()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:1", "null", None, "http://localhost.evil"]
)
def test_a_foreign_page_cannot_open_the_socket(origin):
    with serving() as (hub, server):
        with pytest.raises(InvalidStatus) as refused:
            watch(server, origin=origin).__enter__()
        assert refused.value.response.status_code == 403
        assert hub.viewers() == 0


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:{port}", "127.0.0.1:1", ""])
def test_a_foreign_name_for_this_machine_is_refused(host):
    with serving() as (_, server):
        named = host.format(port=port_of(server))
        for path in ("/", "/healthz", "/metrics", "/page/app.js"):
            assert get(server, path, headers={"host": named}).status_code == 421
        with pytest.raises(InvalidStatus):
            watch(server, additional_headers={"Host": named}, origin=f"http://{named}").__enter__()


def test_localhost_is_another_name_of_loopback():
    with serving() as (_, server):
        named = f"localhost:{port_of(server)}"
        assert get(server, "/", headers={"host": named}).status_code == 200


def test_off_this_machine_a_token_is_made_and_asked_for():
    with serving(host="0.0.0.0") as (hub, server):
        token = urlsplit(server.url).query.removeprefix("token=")
        assert len(token) >= 32
        assert get(server, "/").status_code == 403
        assert get(server, "/?token=" + token[:-1] + "!").status_code == 403
        assert get(server, "/?token=%C3%A9").status_code == 403
        assert get(server, "/metrics").status_code == 403
        assert get(server, f"/?token={token}").status_code == 200
        bearer = {"authorization": f"Bearer {token}"}
        assert get(server, "/metrics", headers=bearer).status_code == 200
        for query in ("", "?token=wrong"):
            with pytest.raises(InvalidStatus):
                watch(server, query).__enter__()
        with watch(server, f"?token={token}") as client:
            hub.publish_status(make_status(1))
            assert receive(client, Kind.STATUS)[0]["about"]["ai"] == "AI ON"


def test_a_token_is_asked_for_on_loopback_too_where_one_is_given():
    with serving(token=TOKEN) as (_, server):
        assert get(server, "/").status_code == 403
        assert get(server, f"/?token={TOKEN}").status_code == 200


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
            receive(client, Kind.PICTURE)


def test_a_read_only_screen_asks_for_nothing():
    with serving(read_only=True) as (hub, server), watch(server, read_only=True) as client:
        client.send('{"command": "new-exam"}')
        client.send('{"ack": 99, "t_ms": 1}')
        for index in range(PICTURE_CREDIT + 1):  # the last needs an answer that came after those
            hub.publish(GREY, make_status(index))
            receive(client, Kind.PICTURE)
        assert hub.commands() == []
        assert hub.counts.commands_refused == 1


def test_a_port_that_is_taken_is_said_in_a_sentence():
    with serving() as (_, server), pytest.raises(InputError, match="choose another port"):
        WebServer(Hub(), port=port_of(server)).start()


def test_tls_files_that_cannot_be_used_are_said_in_a_sentence(tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(InputError, match="give both"):
        WebServer(Hub(), certfile=wrong)
    with pytest.raises(InputError, match="PEM"):
        WebServer(Hub(), certfile=wrong, keyfile=wrong)


def test_page_and_socket_travel_under_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    with serving(certfile=certificate, keyfile=key) as (hub, server):
        port = port_of(server)
        assert server.url == f"https://127.0.0.1:{port}/"
        page = httpx.get(server.url, verify=trust, trust_env=False)
        assert page.status_code == 200
        with watch(server, ssl=trust) as client:
            hub.publish_status(make_status(0))
            assert receive(client, Kind.STATUS)[0]["about"]["ai"] == "AI ON"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", os.fspath(key), "-out", os.fspath(certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl here to make a certificate with")
    return certificate, key


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:8443", ("::1", 8443)),
        ("[::1]", ("::1", None)),
        ("LocalHost", ("localhost", None)),
        ("", ("", None)),
        ("a:b", ("a", None)),
    ],
)
def test_a_host_header_is_taken_apart(header, expected):
    assert split_host(header) == expected


def test_off_this_machine_an_address_or_its_own_name_is_accepted_but_no_other_name():
    access = Access("0.0.0.0", 8443, "https", TOKEN)
    assert access.admits_host({"host": "192.0.2.7:8443"})
    assert access.admits_host({"host": f"{socket.gethostname().upper()}:8443"})
    assert not access.admits_host({"host": "rebound.example:8443"})
    assert not access.admits_host({"host": "192.0.2.7:8444"})
