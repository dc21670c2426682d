"""A viewer of a session's page: what it was shown, and when."""

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from neurosono.stream.page.protocol import MessageKind, unpack_message


@dataclass(frozen=True)
class Word:
    """A status as it came: `at_s` is the monotonic clock, `picture` whether it came with one."""

    at_s: float
    picture: bool
    status: dict[str, Any]
    held_ms: float

    @property
    def lit(self) -> bool:
        """Whether an opinion is shown."""
        return self.status["ai"] == "AI ON" and self.status["state"] is not None

    @property
    def opinion_age_ms(self) -> float:
        """Return how old the opinion is that this shows, on its arrival."""
        return float(self.status["opinion_age_ms"]) + self.held_ms


@dataclass
class Viewer:
    """Watches a page by its socket, acknowledges everything, and remembers what it was told."""

    url: str
    words: list[Word] = field(default_factory=list)
    asleep: bool = False
    """While it is, it acknowledges nothing, as a tablet that was put away."""
    _client: ClientConnection | None = None
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Viewer":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.drop()
        self._thread.join(10)

    @property
    def last(self) -> Word | None:
        """Return what was said last."""
        return self.words[-1] if self.words else None

    def since(self, moment_s: float) -> list[Word]:
        """Return what was said after a moment."""
        return [word for word in list(self.words) if word.at_s >= moment_s]

    def send(self, text: str) -> None:
        """Say something to the session, right or wrong."""
        if self._client is not None:
            with contextlib.suppress(WebSocketException, OSError):
                self._client.send(text)

    def drop(self) -> None:
        """Break the connection; it is opened anew."""
        if self._client is not None:
            with contextlib.suppress(WebSocketException, OSError):
                self._client.close_socket()

    def _run(self) -> None:
        parts = urlsplit(self.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        query = f"?{parts.query}" if parts.query else ""
        address = f"ws://{parts.netloc}/ws{query}"
        while not self._end.is_set():
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                options: dict[str, Any] = {"compression": None, "proxy": None, "max_size": None}
                with connect(address, origin=origin, **options) as self._client:  # type: ignore[arg-type]
                    self._listen(self._client)
            self._end.wait(0.1)

    def _listen(self, client: ClientConnection) -> None:
        while not self._end.is_set():
            message = client.recv(timeout=5)
            assert isinstance(message, bytes)
            kind, head, _ = unpack_message(message)
            if head.get("n") and not self.asleep:
                told = {"ack": head["n"], "t_ms": time.monotonic() * 1e3, "painted": True}
                client.send(json.dumps(told))
            if kind in (MessageKind.PICTURE, MessageKind.STATUS) and "about" in head:
                picture = kind is MessageKind.PICTURE
                held_ms = float(head.get("held_ms", 0.0))
                self.words.append(Word(time.monotonic(), picture, head["about"], held_ms))
