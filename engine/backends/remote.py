"""An ensemble on a server: the Open Inference Protocol, version 2, over HTTP with binary tensors.

Spoken by Triton, among others (https://github.com/kserve/open-inference-protocol and Triton's
binary tensor extension). Only the frame's grey square travels; exam, calibration and journal stay
here. One request is in flight, so newest-wins stays with whoever asks.
"""

import json
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from math import prod
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.backends import INPUT, OUTPUTS, Inference, check_pictures
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineUnavailableError,
    InputError,
    ServerAwayError,
)
from neurosono.engine.contracts.server import Server

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

OPEN_S = 5.0
"""The longest that opening may take: a server that has just started still loads its model."""

JSON_LENGTH = "Inference-Header-Content-Length"
MOST_ANSWER_BYTES = 64 << 20
"""37 members of 5 classes answer in 60 KB; more than this is no answer of ours."""


def name_model(name: str, digest: str) -> str:
    """Return the name under which a server holds the bundle of this name and digest (sha256)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)
    return f"{plain}-{digest[:16]}"


class RemoteBackend:
    """One model on one server, behind the protocol of `Backend`."""

    name = "remote"

    def __init__(self, bundle: Bundle, server: Server) -> None:
        """Ask `server` for the model of `bundle`, whose digest (sha256) it must name.

        Raises `InputError` on a URL that is none, `EngineUnavailableError` where the server does
        not answer or lacks the model (unless it is to be waited for), `BundleError` where it holds
        another one.
        """
        manifest = bundle.manifest
        self._line = _Line(server.url, server.read_token(), server.authority)
        self._model = name_model(manifest.name, manifest.digest)
        self._digest, self._classes = manifest.digest, len(manifest.labels)
        self._answer_s, self.size_px = server.answer_s, manifest.preprocessing.size_px
        self.members, self.precision = len(manifest.members), "of the server"
        self._known = False
        try:
            self._greet(OPEN_S)
        except _NoAnswerError as error:
            self.close()
            if not server.waits:
                raise EngineUnavailableError(
                    f"the server at {server.url} has no model {self._model} for us ({error}): "
                    "start it with what `neurosono export triton` wrote of this bundle, or use "
                    "--engine auto"
                ) from error
        except BundleError:
            self.close()
            raise
        side = {"name": INPUT, "datatype": "UINT8", "shape": [1, 1, self.size_px, self.size_px]}
        ask = {
            "inputs": [side | {"parameters": {"binary_data_size": self.size_px**2}}],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS],
        }
        self._head = json.dumps(ask).encode()

    def infer(self, grey: NDArray[np.uint8]) -> Inference:
        """Judge `(B, size, size)` uint8 pictures, one request each.

        Raises `InputError` on another shape, `ServerAwayError` where no whole answer comes in time;
        the next request then begins on a connection of its own, and asks anew who answers there.
        """
        check_pictures(grey, self.size_px)
        answers = [self._infer_one(picture) for picture in grey]
        return Inference(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def close(self) -> None:
        """End the connection."""
        self._line.close()
        self._known = False

    def _infer_one(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        body = self._head + np.ascontiguousarray(picture).tobytes()
        headers = {JSON_LENGTH: str(len(self._head)), "Content-Type": "application/octet-stream"}
        deadline_s = time.monotonic() + self._answer_s
        try:
            if not self._known:
                self._greet(self._answer_s)
            left_s = max(0.0, deadline_s - time.monotonic())
            response, content = self._line.ask(
                "POST", f"/v2/models/{self._model}/infer", left_s, body, headers
            )
            return _read_answer(response.getheader(JSON_LENGTH), content)
        except (_NoAnswerError, BundleError) as error:
            self.close()
            raise ServerAwayError(f"the inference server gave no answer: {error}") from error

    def _greet(self, limit_s: float) -> None:
        """Learn what the server holds; raises `_NoAnswerError`, `BundleError`."""
        deadline_s = time.monotonic() + limit_s
        path = f"/v2/models/{self._model}"
        found = self._line.ask_json(path, limit_s)
        left_s = max(0.0, deadline_s - time.monotonic())
        told = _read_parameters(found) or _read_parameters(
            self._line.ask_json(f"{path}/config", left_s)
        )
        members = _check_model(found, told, self._digest, self.size_px, self._classes)
        self.members, self.precision = members, str(told.get("precision", "f32"))
        self._known = True


class _NoAnswerError(Exception):
    """The server did not say what it was asked, for a reason in words."""


class _Deadline(socket.socket):
    """A socket whose every wait ends at one moment: its own timeout is a read's only."""

    deadline_s = float("inf")

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        _hurry(self)
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        _hurry(self)
        super().sendall(data, flags)


class _SecureDeadline(ssl.SSLSocket):
    deadline_s = float("inf")

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0
    ) -> int:
        _hurry(self)
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        _hurry(self)
        super().sendall(data, flags)


def _hurry(one: _Deadline | _SecureDeadline) -> None:
    left_s = one.deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    one.settimeout(min(left_s, 3600.0))


class _Line:
    """One kept connection to one server; opened anew after whatever went wrong."""

    def __init__(self, url: str, token: str | None, authority: str | None) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/"):
            raise InputError(f"--server takes http://HOST:PORT or https://HOST:PORT, found {url!r}")
        self._host, self._port = host, port or (443 if parts.scheme == "https" else 8000)
        self._context = _open_context(authority) if parts.scheme == "https" else None
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._connection: HTTPConnection | None = None
        self._socket: _Deadline | _SecureDeadline | None = None

    def ask_json(self, path: str, limit_s: float) -> dict[str, Any]:
        """Return the object that stands at `path`; raises `_NoAnswerError`."""
        _, content = self.ask("GET", path, limit_s)
        try:
            found = json.loads(content)
        except ValueError as error:
            raise _NoAnswerError("what it says is no JSON") from error
        if not isinstance(found, dict):
            raise _NoAnswerError("what it says is no JSON object")
        return found

    def ask(
        self,
        method: str,
        path: str,
        limit_s: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[HTTPResponse, bytes]:
        """Ask once and return the answer with its content; raises `_NoAnswerError`."""
        deadline_s = time.monotonic() + limit_s
        try:
            connection = self._connect(deadline_s)
            connection.request(method, path, body, self._headers | (headers or {}))
            response = connection.getresponse()
            content = response.read(MOST_ANSWER_BYTES + 1)
        except TimeoutError as error:
            self.close()
            raise _NoAnswerError(f"nothing within {limit_s * 1e3:.0f} ms") from error
        except (OSError, HTTPException) as error:
            self.close()
            raise _NoAnswerError(_say(error)) from error
        if response.status != 200:
            raise _NoAnswerError(f"HTTP {response.status} {response.reason}".strip())
        if len(content) > MOST_ANSWER_BYTES:
            self.close()
            raise _NoAnswerError(f"an answer of over {MOST_ANSWER_BYTES >> 20} MiB")
        return response, content

    def close(self) -> None:
        """Drop the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._socket = None, None

    def _connect(self, deadline_s: float) -> HTTPConnection:
        if self._connection is None or self._connection.sock is None:
            self.close()
            left_s = max(1e-3, deadline_s - time.monotonic())
            plain = socket.create_connection((self._host, self._port), left_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                self._connection = HTTPConnection(self._host, self._port)
                self._socket = _Deadline(fileno=plain.detach())
            else:
                self._connection = HTTPSConnection(self._host, self._port, context=self._context)
                secure = self._context.wrap_socket(plain, server_hostname=self._host)
                assert isinstance(secure, _SecureDeadline)
                self._socket = secure
            self._connection.sock = self._socket
        assert self._socket is not None
        self._socket.deadline_s = deadline_s
        return self._connection


def _open_context(authority: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{authority} holds no certificates in PEM form: {error}") from error
    context.sslsocket_class = _SecureDeadline
    return context


def _say(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _read_parameters(found: dict[str, Any]) -> dict[str, Any]:
    """Return a model's parameters: plain values, or `{"string_value": …}` as Triton has them."""
    told = found.get("parameters")
    if not isinstance(told, dict):
        return {}
    return {
        key: value.get("string_value") if isinstance(value, dict) else value
        for key, value in told.items()
    }


def _check_model(
    found: dict[str, Any], told: dict[str, Any], digest: str, size_px: int, classes: int
) -> int:
    """Return how many members the model holds; raise `BundleError` where it is not the bundle's."""
    if told.get("digest") != digest:
        named = told.get("digest")
        other = f"another bundle, {str(named)[:16]}" if named else "a model without a digest"
        raise BundleError(
            f"the server holds {other}, expected {digest[:16]}: export this bundle for it with "
            "`neurosono export triton`"
        )
    try:
        inputs = {each["name"]: (each["datatype"], each["shape"]) for each in found["inputs"]}
        outputs = {each["name"]: each["shape"] for each in found["outputs"]}
        grey, answer = inputs[INPUT], [int(length) for length in outputs["probabilities"]]
        fits = grey[0] == "UINT8" and [int(side) for side in grey[1]][-2:] == [size_px, size_px]
        complete = set(OUTPUTS) <= set(outputs) and len(answer) == 3 and answer[2] == classes
    except (KeyError, TypeError, ValueError) as error:
        raise _NoAnswerError("its description of the model is not whole") from error
    if not (fits and complete and answer[1] > 0):
        raise BundleError(
            f"the server's model takes {grey} and gives {answer}, expected {size_px} px pictures "
            f"and {classes} classes: export this bundle for it anew"
        )
    return answer[1]


def _read_answer(length: str | None, content: bytes) -> list[NDArray[np.float32]]:
    """Return the outputs, in the order of `OUTPUTS`; raises `_NoAnswerError`."""
    try:
        end = int(length or "")
        described = json.loads(content[:end])["outputs"]
        found: dict[str, NDArray[np.float32]] = {}
        for each in described:
            size, shape = int(each["parameters"]["binary_data_size"]), tuple(each["shape"])
            if each["datatype"] != "FP32" or size != 4 * prod(shape) or end + size > len(content):
                raise _NoAnswerError("an output of another type or size than it says")
            values = np.frombuffer(content, np.float32, prod(shape), end)
            found[each["name"]] = values.reshape(shape)
            end += size
        return [found[name] for name in OUTPUTS]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _NoAnswerError("an answer that is not whole") from error
