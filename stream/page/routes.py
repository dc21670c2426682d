"""What the web server answers: the page, its files, its socket, health and counts."""

import html
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from neurosono.engine.contracts.errors import RunError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.page.access import HEADERS, Access
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.viewing import POLICY_VIOLATION, TRY_AGAIN_LATER, Viewing
from neurosono.stream.view import palette
from neurosono.stream.view.planes import CAUTION, SEEN_FRAMES, STANDARD
from neurosono.stream.view.state import AiState
from neurosono.stream.view.viewer import LATE_MS
from neurosono.stream.view.words import SKIP_WORDS

HEALTHY_MS = 1000.0
"""A session speaks every 250 ms; after a second of silence it is not well."""

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""

_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "html": "text/html",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Monitor:
    """What a monitor may read: `render` gives it, `token` admits to it and to nothing else."""

    render: Callable[[], bytes]
    token: str | None = None

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries the monitor's token as a bearer; in constant time."""
        given = headers.get("authorization", "")
        wanted = f"Bearer {self.token}"
        return bool(self.token) and secrets.compare_digest(given.encode(), wanted.encode())


NOTHING = Monitor(bytes)
"""Where nobody measures."""


def make_app(
    hub: Hub,
    access: Access,
    labels: Sequence[str],
    *,
    read_only: bool,
    admit: Callable[[Any], None],
    monitor: Monitor = NOTHING,
) -> ASGIApp:
    """Return the application; `admit` hears the address of each connection that is a viewer's."""
    site = _Site(hub, access, labels, read_only=read_only, admit=admit, monitor=monitor)
    routes = [
        Route("/", site.page),
        Route("/page/{name}", site.file),
        Route("/healthz", site.health),
        Route("/readyz", site.readiness),
        Route("/metrics", site.metrics),
        WebSocketRoute("/ws", site.watch),
    ]
    return _Guard(Starlette(routes=routes), access)


class _Site:
    """What is behind each address."""

    def __init__(
        self,
        hub: Hub,
        access: Access,
        labels: Sequence[str],
        *,
        read_only: bool,
        admit: Callable[[Any], None],
        monitor: Monitor,
    ) -> None:
        self._monitor = monitor
        self._hub, self._access, self._labels = hub, access, tuple(labels)
        self._read_only, self._admit = read_only, admit
        self._files = _read_page()
        self._greeting = {
            "labels": list(labels),
            "skip_words": {str(reason): word for reason, word in SKIP_WORDS.items()},
            "late_ms": LATE_MS,
            "plane_words": STANDARD,
            "plane_frames": SEEN_FRAMES,
            "plane_caution": CAUTION,
            "read_only": read_only,
        }

    async def page(self, request: Request) -> Response:
        if not self._admits(request):
            return PlainTextResponse("open the address that neurosono printed\n", 403)
        if "token" in request.query_params and self._access.token is not None:
            # relative, as a proxy may put the page into a folder; from here on the URL is clean
            clean = {"location": "./", "set-cookie": self._access.make_cookie()}
            return Response(status_code=303, headers=clean)
        return Response(self._files["index.html"], media_type=_TYPES["html"])

    async def file(self, request: Request) -> Response:
        if not self._admits(request):
            return PlainTextResponse("a token is needed\n", 403)
        name = request.path_params["name"]
        if name not in self._files:
            return PlainTextResponse("no such file\n", 404)
        return Response(self._files[name], media_type=_TYPES[name.rpartition(".")[2]])

    async def health(self, _: Request) -> Response:
        last = self._hub.last_status()
        well = last is not None and last[1] <= HEALTHY_MS
        silent_ms = None if last is None else round(last[1])
        body = json.dumps({"ok": well, "status_age_ms": silent_ms}) + "\n"
        return Response(body, 200 if well else 503, media_type="application/json")

    async def readiness(self, _: Request) -> Response:
        """Ready is a session whose AI is on: only then is it of use beside a scanner."""
        last = self._hub.last_status()
        ai = AiState.STARTING if last is None else AiState(last[0].get("ai", AiState.STARTING))
        silent = last is not None and last[1] > HEALTHY_MS
        ready = ai is AiState.ON and not silent
        body = json.dumps({"ready": ready, "ai": "silent" if silent else str(ai)}) + "\n"
        return Response(body, 200 if ready else 503, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        if not (self._admits(request) or self._monitor.admits(request.headers)):
            return PlainTextResponse("a token is needed\n", 403)
        return Response(self._monitor.render(), media_type=METRICS_TYPE)

    async def watch(self, socket: WebSocket) -> None:
        if not (self._access.admits_origin(socket.headers) and self._admits(socket)):
            await socket.close(POLICY_VIOLATION)
            return
        await socket.accept()
        viewing = Viewing(
            socket, self._hub, self._labels, self._greeting, read_only=self._read_only
        )
        try:
            mailbox = self._hub.attach(viewing.wake)
        except RunError as error:
            await socket.close(TRY_AGAIN_LATER, str(error))
            return
        self._admit(socket.client)
        try:
            await viewing.run(mailbox)
        except WebSocketDisconnect:
            pass  # it went while we greeted it
        finally:
            self._hub.detach(mailbox)

    def _admits(self, asked: HTTPConnection) -> bool:
        return self._access.admits_token(asked.headers, asked.query_params)


class _Guard:
    """Turns away whoever asks for another host, and puts the safety headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in _raw(scope)}
        if self._access.admits_host(headers):
            await self._app(scope, receive, send_safely)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(POLICY_VIOLATION)
        else:
            refusal = PlainTextResponse(
                "this server goes by another name; reached through a forward or a proxy, it is to "
                "be started with --allow-host NAME:PORT\n",
                421,
            )
            await refusal(scope, receive, send_safely)


def _raw(scope: Scope) -> list[tuple[bytes, bytes]]:
    return list(scope.get("headers", []))


def _read_page() -> dict[str, bytes]:
    """Return the page's files by name, its colours and notice filled in from where they belong."""
    folder = resources.files("neurosono.stream.page") / "static"
    files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    notice = html.escape(NOTICE).encode()
    files["index.html"] = files["index.html"].replace(b"{{notice}}", notice)
    return files | {"palette.css": describe_palette().encode()}


def describe_palette() -> str:
    """Return the overlay's colours as CSS variables, so that page and video look the same."""
    colours: dict[str, Any] = {
        name.lower().replace("_", "-"): value
        for name, value in vars(palette).items()
        if name.isupper() and isinstance(value, tuple) and isinstance(value[0], int)
    }
    colours |= {f"class-{place}": one for place, one in enumerate(palette.CLASS_COLOURS)}
    lines = [f"  --{name}: #{r:02x}{g:02x}{b:02x};" for name, (b, g, r) in colours.items()]
    return ":root {\n" + "\n".join(lines) + "\n}\n"
