"""Small real web servers: answers of our own, or what a PACS says, passed on."""

import contextlib
import http.client
import http.server
import ssl
import threading
from collections.abc import Iterator

from neurosono.stream.hospital.tls import Tls
from tests.support.orthanc import Orthanc
from tests.support.senders import HOST


class Handler(http.server.BaseHTTPRequestHandler):
    """One that says nothing on the terminal, and answers every method alike."""

    def answer(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        pass

    def give(self, status: int, kind: str, body: bytes, **more: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in (headers | more).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def pass_on(self, orthanc: Orthanc, **more: str) -> None:
        """Ask the PACS the same and give what it answers."""
        connection = http.client.HTTPConnection(HOST, orthanc.http_port, timeout=30)
        kept = ("Accept", "Content-Type")
        headers = {name: self.headers[name] for name in kept if self.headers[name]}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            self.give(answer.status, answer.headers["Content-Type"] or "", answer.read(), **more)


class _Server(http.server.ThreadingHTTPServer):
    """Shakes hands on each client's own thread, and says nothing of those who fail at it."""

    context: ssl.SSLContext | None = None

    def finish_request(self, request, client_address):  # type: ignore[no-untyped-def]
        if self.context is not None:
            request.settimeout(20)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        if self.context is not None:
            request.close()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        pass


@contextlib.contextmanager
def serving(handler: type[Handler], tls: Tls | None = None) -> Iterator[int]:
    """Serve until the block ends; yields the port. With `tls` both sides show a certificate."""
    server = _Server((HOST, 0), handler)
    server.context = None if tls is None else tls.make_context(listening=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def guarding(orthanc: Orthanc, tls: Tls) -> Iterator[str]:
    """Stand before a PACS's DICOMweb with mutual TLS; yields the root's address."""

    class Guard(Handler):
        def answer(self) -> None:
            self.pass_on(orthanc)

    with serving(Guard, tls) as port:
        yield f"https://{HOST}:{port}/dicom-web"
