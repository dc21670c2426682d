"""An inference server of a test's own: speaks the protocol, and may be told to misbehave."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from neurosono.engine.backends import OUTPUTS, Inference
from neurosono.engine.backends.remote import JSON_LENGTH, name_model
from neurosono.engine.contracts.manifest import Manifest

Spoil = Callable[[bytes, bytes], tuple[str, bytes]]


class Peer(ThreadingHTTPServer):
    """Serves one model. What it may do beside: `spoil` an answer, hold each byte of it back for
    `pause_s`, answer nothing while it `hangs`, cut every connection while it `breaks`, or end each
    after an answer without a word, as one that `tires`."""

    daemon_threads = True
    scheme = "http"

    def __init__(self, manifest: Manifest, infer: Callable[[Any], Inference]) -> None:
        self.name = name_model(manifest.name, manifest.digest)
        self.infer, self.size_px = infer, manifest.preprocessing.size_px
        nothing = infer(np.zeros((1, self.size_px, self.size_px), np.uint8))
        self.model: Any = {
            "inputs": [
                {"name": "grey", "datatype": "UINT8", "shape": [-1, 1, self.size_px, self.size_px]}
            ],
            "outputs": [
                {"name": n, "datatype": "FP32", "shape": [-1, *getattr(nothing, n).shape[1:]]}
                for n in OUTPUTS
            ],
            "parameters": {
                "digest": {"string_value": manifest.digest},
                "precision": {"string_value": "int8"},
            },
        }
        self.answers, self.heard = 0, list[dict[str, str]]()
        self.spoil: Spoil | None = None
        self.pause_s, self.hangs, self.breaks, self.tires = 0.0, False, False, False
        super().__init__(("127.0.0.1", 0), _Handler)

    @classmethod
    @contextmanager
    def of(
        cls,
        manifest: Manifest,
        infer: Callable[[Any], Inference],
        tls: ssl.SSLContext | None = None,
    ) -> Iterator["Peer"]:
        """Serve on a thread, until the block ends."""
        with cls(manifest, infer) as peer:
            if tls is not None:
                peer.socket, peer.scheme = tls.wrap_socket(peer.socket, server_side=True), "https"
            thread = threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield peer
            finally:
                peer.hangs = False
                peer.shutdown()
                thread.join()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def parse_request(self) -> bool:
        while self.server.hangs:
            time.sleep(0.01)  # a server that hangs: there is no clock to inject
        if self.server.breaks:
            self.close_connection = True
            return False
        return super().parse_request()

    def do_GET(self) -> None:
        self.server.heard.append(dict(self.headers))
        if self.path.startswith(f"/v2/models/{self.server.name}"):
            self._send(json.dumps(self.server.model).encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = int(self.headers[JSON_LENGTH])
        said, grey = json.loads(body[:head]), np.frombuffer(body[head:], np.uint8)
        assert [each["name"] for each in said["outputs"]] == list(OUTPUTS)
        size_px = self.server.size_px
        answer = self.server.infer(grey.reshape(1, size_px, size_px))
        arrays = {name: np.ascontiguousarray(getattr(answer, name)) for name in OUTPUTS}
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
        self.close_connection |= self.server.tires

    def _send(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if not self.server.pause_s or not headers:
            self.wfile.write(content)
            return
        with contextlib.suppress(OSError):  # the client does not wait for the end
            for place in range(len(content)):  # a byte now and then: every single read is in time
                self.wfile.write(content[place : place + 1])
                time.sleep(self.server.pause_s)
