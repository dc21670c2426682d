"""A live source that does not come up says what the other side said, and never an address."""

import socket
import threading
import time
from contextlib import closing, contextmanager

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.live.links import parse_link
from neurosono.stream.sources.live.source import LiveOptions, open_live

JPEG = cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes()
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)


@contextmanager
def answering(answer):
    """Serve on loopback: `answer` makes a reply of each request."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    done = threading.Event()

    def serve():
        while not done.is_set():
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            with closing(client):
                client.settimeout(5)
                try:
                    while request := client.recv(4096).decode():
                        client.sendall(answer(request))
                        if request.startswith("GET"):
                            break
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        done.set()
        thread.join()
        server.close()


def by_http(status, body=b"", kind="text/html"):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return lambda _: f"{head}Connection: close\r\n\r\n".encode() + body


def by_rtsp(status, verb):
    def answer(request):
        number = next(line for line in request.splitlines() if line.lower().startswith("cseq"))
        asked = request.split()[0]
        if asked == verb:
            return f"RTSP/1.0 {status}\r\n{number}\r\n\r\n".encode()
        body = SDP if asked == "DESCRIBE" else ""
        head = f"RTSP/1.0 200 OK\r\n{number}\r\nPublic: DESCRIBE, SETUP, PLAY\r\n"
        if body:
            head += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n{body}".encode()

    return answer


def find_reason(address):
    heard = []
    options = LiveOptions(
        on_event=lambda name, fields: heard.append((name, fields)), open_timeout_s=20
    )
    with open_live(address, options=options) as source:
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            source.take(0.05)
            reasons = [fields["reason"] for name, fields in heard if name == "lost"]
            if reasons:
                assert "127.0.0.1" not in reasons[0]
                return reasons[0]
    raise AssertionError("nothing was told")


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("http", by_http("404 Not Found"), "404"),
        ("http", by_http("401 Unauthorized"), "401"),
        ("http", by_http("403 Forbidden"), "403"),
        ("http", by_http("503 Busy"), "5XX"),
        ("http", by_http("200 OK", b"<html>words</html>" * 99), "no video that can be followed"),
        ("http", by_http("200 OK", JPEG, "image/jpeg"), "no video that can be followed"),
        ("rtsp", by_rtsp("404 Not Found", "DESCRIBE"), "404"),
        ("rtsp", by_rtsp("401 Unauthorized", "DESCRIBE"), "401"),
        ("rtsp", by_rtsp("461 Unsupported Transport", "SETUP"), "461"),
    ],
)
def test_what_the_other_side_said(scheme, answer, said):
    with answering(answer) as port:
        assert said in find_reason(f"{scheme}://127.0.0.1:{port}/x")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/", "rtsp://127.0.0.1:9/", "tcp://127.0.0.1:9"]
)
def test_nobody_listens(address):
    assert "refused" in find_reason(address)


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp"])
def test_a_name_that_nobody_knows(scheme):
    assert find_reason(f"{scheme}://nobody.invalid:5/") == "no machine of that name is known"


@pytest.mark.parametrize("address", ["rtsp://me:se#cret@host/", "rtsp://me:12#cret@host/x"])
def test_a_password_that_is_no_part_of_an_address_is_told_without_it(address):
    with pytest.raises(SourceError, match="%23") as refused:
        parse_link(address)
    assert not any(part in str(refused.value) for part in ("se", "12", "cret") if part != "se")
