"""A web server on loopback and its viewers, for tests; nothing of it may be left behind."""

import json
import socket
import threading
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

from neurosono.stream.page.hub import Hub
from neurosono.stream.page.protocol import MessageKind, unpack_message
from neurosono.stream.page.web import WebServer

TOKEN = "a-token-of-the-test"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@contextmanager
def serving(**options: Any):
    options.setdefault("token", TOKEN)
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
    """Ask with the token."""
    headers = BEARER | options.pop("headers", {})
    return ask(server, path, headers=headers, **options)


def ask(server: WebServer, path: str, **options: Any) -> httpx.Response:
    """Ask without a token."""
    return httpx.get(f"http://127.0.0.1:{port_of(server)}{path}", trust_env=False, **options)


@contextmanager
def watch(server: WebServer, query: str = "", *, read_only: bool = False, **options: Any):
    """Open a viewer's socket, with the token; the greeting is read, so the hub knows it by then."""
    port = port_of(server)
    scheme = urlsplit(server.url).scheme
    options.setdefault("origin", f"{scheme}://127.0.0.1:{port}")
    options.setdefault("additional_headers", {} if query else BEARER)
    address = f"{scheme.replace('http', 'ws')}://127.0.0.1:{port}/ws{query}"
    with connect(address, compression=None, proxy=None, max_size=None, **options) as client:
        message = client.recv(timeout=60)
        assert isinstance(message, bytes)
        hello = unpack_message(message)[1]["hello"]
        assert (hello["late_ms"], hello["read_only"]) == (500, read_only)
        yield client


def receive(client: ClientConnection, kind: MessageKind) -> tuple[dict[str, Any], bytes]:
    """Return the next message of one kind, acknowledging every one on the way."""
    while True:
        message = client.recv(timeout=60)
        assert isinstance(message, bytes)
        found, head, jpeg = unpack_message(message)
        if head["n"]:
            client.send(json.dumps({"ack": head["n"], "t_ms": 1.5, "painted": True}))
        if found is kind and (kind is not MessageKind.STATUS or "about" in head):
            return head, jpeg
