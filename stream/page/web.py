"""The web server of a live session: on a thread of its own, without a trace once stopped."""

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.stream.page.access import Access, make_token
from neurosono.stream.page.door import Door
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.protocol import MAX_ANSWER_BYTES
from neurosono.stream.page.routes import NOTHING, Monitor, make_app

START_S = 10.0
"""How long the server may take to listen; it takes some hundredths of a second."""

FLUSH_S = 1.0
"""How long a viewer may take to get the last word; one that sleeps does not hold up the end."""

LINGER_S = 1
"""How long a viewer may take to hang up when we end, before we do it."""


TICKS_A_SWEEP = 10
"""uvicorn ticks ten times a second; the door is looked at once."""


class _Server(uvicorn.Server):
    """uvicorn, but nobody stands at the door for ever.

    Nor can a viewer that reads nothing keep its connection past the end.
    """

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SWEEP == 0:
            self._door.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


class WebServer:
    """Serves the page and its socket for one hub.

    A token is made unless `token` is given, and `url` carries it; with `no_token` whoever reaches
    the page is let in, on loopback every user of this machine. `certfile` and `keyfile` (PEM) turn
    on TLS. `port` 0 takes a free one. `allowed` are other names (and ports) by which a forward or a
    proxy reaches it. `read_only` viewers watch and ask for nothing. `monitor` is what `/metrics`
    gives. Raises `InputError` for TLS files that do not fit together.
    """

    def __init__(
        self,
        hub: Hub,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        certfile: Path | None = None,
        keyfile: Path | None = None,
        labels: Sequence[str] = DEFAULT_LABELS,
        *,
        no_token: bool = False,
        read_only: bool = False,
        allowed: Sequence[tuple[str, int | None]] = (),
        monitor: Monitor = NOTHING,
    ) -> None:
        self._hub, self._host, self._port, self._labels = hub, host, port, tuple(labels)
        self._certfile, self._keyfile, self._read_only = certfile, keyfile, read_only
        self._allowed, self._monitor = tuple(allowed), monitor
        self._token = None if no_token else token or make_token()
        self._door: Door | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._check_tls()

    @property
    def encrypted(self) -> bool:
        """Whether pictures and token travel under TLS."""
        return self._certfile is not None

    @property
    def url(self) -> str:
        """The address to open, with the token unless none is asked for."""
        host = socket.gethostname() if self._host in ("", "0.0.0.0", "::") else self._host  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        query = f"?token={self._token}" if self._token else ""
        return f"{self._scheme}://{shown}:{self._port}/{query}"

    @property
    def turned_away(self) -> int:
        """How many connections were hung up on at the door."""
        return 0 if self._door is None else self._door.turned_away

    def start(self) -> None:
        """Listen, and serve on a thread; raises `InputError` where the address cannot be had."""
        listener = self._door = self._bind()
        self._port = listener.getsockname()[1]
        access = Access(self._host, self._port, self._scheme, self._token, self._allowed)
        app = make_app(
            self._hub,
            access,
            self._labels,
            read_only=self._read_only,
            admit=listener.admit,
            monitor=self._monitor,
        )
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,  # a URL holds the token
            server_header=False,
            proxy_headers=False,
            ws_max_size=MAX_ANSWER_BYTES,
            ws_per_message_deflate=False,  # a JPEG does not get smaller
            timeout_graceful_shutdown=LINGER_S,
            ssl_certfile=self._certfile,
            ssl_keyfile=None if self._keyfile is None else str(self._keyfile),
        )
        self._server = _Server(config, listener)
        self._hub.start()
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="web-server", daemon=True
        )
        self._thread.start()
        self._await_start()

    def stop(self) -> None:
        """End, with every connection, and wait for both threads; may be called again."""
        if self._server is not None and self._thread is not None:
            self._hub.flush(FLUSH_S)
            self._server.should_exit = True
            self._thread.join()
        self._server, self._thread = None, None
        self._hub.stop()

    @property
    def _scheme(self) -> str:
        return "https" if self.encrypted else "http"

    def _check_tls(self) -> None:
        if (self._certfile is None) != (self._keyfile is None):
            raise InputError("TLS needs a certificate and its key: give both files or neither")
        if self._certfile is None or self._keyfile is None:
            return
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certfile, self._keyfile)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"the TLS files cannot be used ({error}); expected a certificate and its key in PEM"
            ) from error

    def _bind(self) -> Door:
        try:
            found = socket.getaddrinfo(
                self._host or None, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, _, _, _, address = found[0]
            listener = Door(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
            except OSError:
                listener.close()
                raise
        except OSError as error:
            raise InputError(
                f"cannot listen on {self._host}:{self._port} ({error}); choose another port or host"
            ) from error
        return listener

    def _await_start(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        deadline_s = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline_s:
                self.stop()
                raise RunError("the web server did not start; free some memory and try again")
            time.sleep(0.005)
