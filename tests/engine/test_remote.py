"""An engine on a server: what it says, and an answer that is late, cut, or of another model."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from neurosono.engine.backends import OUTPUTS
from neurosono.engine.backends.remote import JSON_LENGTH, RemoteBackend, name_model
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineFailedError,
    EngineUnavailableError,
    InputError,
)

DIGEST = "ab" * 32
SIZE_PX = 32
SHAPES = {"probabilities": (1, 2, 3), "cams": (1, 2, 3, 4, 4), "features": (1, 2, 8)}
PICTURE = np.arange(SIZE_PX * SIZE_PX, dtype=np.uint8).reshape(1, SIZE_PX, SIZE_PX)

Mend = Callable[[bytes, bytes], tuple[str, bytes]]


def describe() -> dict[str, Any]:
    return {
        "name": "m",
        "inputs": [{"name": "grey", "datatype": "UINT8", "shape": [-1, 1, SIZE_PX, SIZE_PX]}],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": [-1, *shape[1:]]}
            for name, shape in SHAPES.items()
        ],
        "parameters": {"digest": {"string_value": DIGEST}, "precision": {"string_value": "int8"}},
    }


class Server(ThreadingHTTPServer):
    """Speaks the protocol; `spoil` may change an answer, `pause_s` holds each byte of it back."""

    daemon_threads = True

    def __init__(self) -> None:
        self.model, self.answers, self.heard = describe(), 0, list[dict[str, str]]()
        self.spoil: Mend | None = None
        self.pause_s = 0.0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.heard.append(dict(self.headers))
        if self.path.startswith("/v2/models/m"):
            self._send(json.dumps(self.server.model).encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = int(self.headers[JSON_LENGTH])
        said, grey = json.loads(body[:head]), np.frombuffer(body[head:], np.uint8)
        assert [each["name"] for each in said["outputs"]] == list(OUTPUTS)
        arrays = {n: np.full(s, grey.mean(), np.float32) for n, s in SHAPES.items()}
        told = [
            {
                "name": name,
                "datatype": "FP32",
                "shape": array.shape,
                "parameters": {"binary_data_size": array.nbytes},
            }
            for name, array in arrays.items()
        ]
        words = json.dumps({"outputs": told}).encode()
        raw = b"".join(array.tobytes() for array in arrays.values())
        length, content = str(len(words)), words + raw
        if self.server.spoil is not None:
            length, content = self.server.spoil(words, raw)
        self.server.answers += 1
        self._send(content, {JSON_LENGTH: length})

    def _send(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if not self.server.pause_s or not headers:
            self.wfile.write(content)
            return
        for place in range(len(content)):  # a byte now and then: every single read is in time
            self.wfile.write(content[place : place + 1])
            time.sleep(self.server.pause_s)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def asking(url: str, **how: Any) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(url, "m", how.pop("digest", DIGEST), SIZE_PX, 3, **how)
    try:
        yield backend
    finally:
        backend.close()


def test_pictures_travel_whole_over_one_connection(server: Server) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        assert (backend.name, backend.precision, backend.members) == ("remote", "int8", 2)
        found = backend.infer(np.concatenate([PICTURE, PICTURE // 2]))
    assert found.probabilities.shape == (2, 2, 3)
    assert found.cams.shape == (2, 2, 3, 4, 4)
    expected = [PICTURE.mean(), (PICTURE // 2).mean()]
    np.testing.assert_allclose(found.features[:, 0, 0], expected, rtol=1e-6)


def test_a_token_goes_along(server: Server) -> None:
    with asking(server.url, token="secret", answer_s=30.0):
        assert server.heard[-1]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["parameters"]["digest"].update(string_value="cd" * 32), "another bundle"),
        (lambda m: m.pop("parameters"), "without a digest"),
        (lambda m: m["outputs"][0].update(shape=[-1, 2, 4]), "3 classes"),
        (lambda m: m["inputs"][0].update(shape=[-1, 1, 64, 64]), "32 px"),
        (lambda m: m["outputs"].pop(1), "3 classes"),
    ],
)
def test_another_model_is_refused(
    server: Server, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    change(server.model)
    with pytest.raises(BundleError, match=words), asking(server.url):
        pass


def test_a_server_that_lacks_the_model_or_is_none_is_said(server: Server) -> None:
    with pytest.raises(EngineUnavailableError, match="HTTP 404"):
        RemoteBackend(server.url, "other", DIGEST, SIZE_PX, 3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EngineUnavailableError, match="refused"):
        RemoteBackend(f"http://127.0.0.1:{port}", "m", DIGEST, SIZE_PX, 3)
    server.model = ["no object"]  # type: ignore[assignment]
    with pytest.raises(EngineUnavailableError, match="no JSON object"):
        RemoteBackend(server.url, "m", DIGEST, SIZE_PX, 3)


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://", "host:8000", "http://host/path", "http://h:x"]
)
def test_a_server_is_named_by_a_url(url: str) -> None:
    with pytest.raises(InputError, match="--server takes"):
        RemoteBackend(url, "m", DIGEST, SIZE_PX, 3)


def test_an_answer_that_trickles_is_late_all_the_same(server: Server) -> None:
    with asking(server.url, answer_s=0.3) as backend:
        server.pause_s = 0.05
        begun_s = time.monotonic()
        with pytest.raises(EngineFailedError, match="nothing within 300 ms"):
            backend.infer(PICTURE)
        assert time.monotonic() - begun_s < 5, "its 700 bytes would take 35 s"
        server.pause_s = 0.0
    with asking(server.url, answer_s=30.0) as backend:
        assert backend.infer(PICTURE).probabilities.shape == (1, 2, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda words, raw: (str(len(words)), words + raw[:-4]),
        lambda words, raw: (str(len(words)), words),
        lambda words, raw: ("x", words + raw),
        lambda words, raw: ("", words + raw),
        lambda words, raw: (str(len(words) + 3), words + raw),
        lambda words, raw: (str(len(words)), words.replace(b"FP32", b"FP16") + raw),
        lambda words, raw: (str(len(words)), words.replace(b"cams", b"maps") + raw),
        lambda words, raw: ("2", b"[]" + raw),
        lambda words, raw: (str(len(words)), words.replace(b"[1, 2, 3]", b"[9, 9, 9]") + raw),
    ],
)
def test_an_answer_that_is_not_whole_is_none(server: Server, spoil: Mend) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        server.spoil = spoil
        with pytest.raises(EngineFailedError):
            backend.infer(PICTURE)
        server.spoil = None
        assert backend.infer(PICTURE).probabilities.shape == (1, 2, 3), "and the next one is"


def test_a_server_that_ends_and_comes_back_is_asked_again(server: Server) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        backend.infer(PICTURE)
        server.spoil = lambda words, raw: _break()
        with pytest.raises(EngineFailedError):
            backend.infer(PICTURE)
        server.spoil = None
        backend.infer(PICTURE)
    assert server.answers == 2


def _break() -> tuple[str, bytes]:
    raise ConnectionAbortedError


def test_a_model_is_named_by_its_bundle() -> None:
    assert name_model("neurosono demo/ü", DIGEST) == f"neurosono-demo---{DIGEST[:16]}"
