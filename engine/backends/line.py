"""One kept HTTP connection whose every answer has a deadline."""

import json
import select
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.server import is_loopback

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


MOST_ANSWER_BYTES = 64 << 20
"""37 members of 5 classes answer in 60 KB; more than this is no answer of ours."""


MOST_WORDS = 100
"""Letters of what a server says that are told on: it may be anything."""


class NoAnswerError(Exception):
    """The server did not say what it was asked, for a reason in words."""

    def __init__(self, why: str, content: bytes = b"", advice: str | None = None) -> None:
        """`content` is what came with a refusal, as it came; `advice` is what may mend it."""
        told = "".join(each if each.isprintable() else " " for each in why)
        super().__init__(told[:MOST_WORDS])
        self.content, self.advice = content, advice


UNKNOWN = "name the file of its token as --server-token"
UNTRUSTED = "name the certificates that vouch for it as --server-ca"


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

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        _hurry(self)  # `sendall` asks piece by piece, and each would have the whole time
        return super().send(data, flags)


def _hurry(one: _Deadline | _SecureDeadline) -> None:
    left_s = one.deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    one.settimeout(min(left_s, 3600.0))


class Line:
    """One kept connection to one server; opened anew after whatever went wrong."""

    def __init__(self, url: str, token: str | None, authority: str | None) -> None:
        try:
            parts = urlsplit(url)
            scheme, host, port, path = parts.scheme, parts.hostname, parts.port, parts.path
        except ValueError:
            scheme, host, port, path = "", None, None, ""
        if scheme not in ("http", "https") or not host or path not in ("", "/"):
            raise InputError(f"--server takes http://HOST:PORT or https://HOST:PORT, found {url!r}")
        if token is not None and scheme == "http" and not is_loopback(host):
            raise InputError(f"--server-token goes nowhere in the clear, found {url}: use https")
        self._host, self._port = host, port or (443 if scheme == "https" else 8000)
        self._context = _open_context(authority) if scheme == "https" else None
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._connection: HTTPConnection | None = None
        self._socket: _Deadline | _SecureDeadline | None = None

    @property
    def is_open(self) -> bool:
        """Whether the last question's connection stands: a proxy ends one that rests."""
        if self._socket is None or self._connection is None or self._connection.sock is None:
            return False
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        if waiting.poll(0):  # nothing was asked, so what comes is its end
            self.close()
        return self._socket is not None

    def ask_json(self, path: str, limit_s: float) -> dict[str, Any]:
        """Return the object that stands at `path`; raises `NoAnswerError`."""
        _, content = self.ask("GET", path, limit_s)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise NoAnswerError("what it says is no JSON") from error
        if not isinstance(found, dict):
            raise NoAnswerError("what it says is no JSON object")
        return found

    def ask(
        self,
        method: str,
        path: str,
        limit_s: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[HTTPResponse, bytes]:
        """Ask once and return the answer with its content; raises `NoAnswerError`."""
        deadline_s = time.monotonic() + limit_s
        try:
            connection = self._connect(deadline_s)
            connection.request(method, path, body, self._headers | (headers or {}))
            with connection.getresponse() as response:
                content = response.read(MOST_ANSWER_BYTES + 1)
        except TimeoutError as error:
            self.close()
            raise NoAnswerError(f"nothing within {limit_s * 1e3:.0f} ms") from error
        except (OSError, HTTPException, ValueError) as error:  # of a chunk of -5 bytes, the last
            self.close()
            raise _describe(error) from error
        if response.status != 200:
            advice = UNKNOWN if response.status in (401, 403) else None
            raise NoAnswerError(
                f"HTTP {response.status} {response.reason}".strip(), content, advice
            )
        if len(content) > MOST_ANSWER_BYTES:
            self.close()
            raise NoAnswerError(f"an answer of over {MOST_ANSWER_BYTES >> 20} MiB")
        if response.length:
            self.close()
            raise NoAnswerError("an answer that was cut short")
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


def _describe(error: Exception) -> NoAnswerError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return NoAnswerError(
            f"its certificate is not trusted: {error.verify_message}", advice=UNTRUSTED
        )
    return NoAnswerError(getattr(error, "strerror", None) or str(error) or type(error).__name__)
