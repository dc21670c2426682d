"""Where senders come in: pynetdicom's server, but for what a bad sender could do to it."""

import socket
import socketserver
import ssl
from collections.abc import Callable
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from neurosono.stream.hospital.entity import Answering

IDLE_S = 60.0
"""A sender that says nothing for so long, in the midst of a transfer or not, is sent away."""
HANDSHAKE_S = 10.0


class Door(ThreadedAssociationServer):  # type: ignore[misc]
    """Shakes hands on each sender's own thread, and waits for none of them for ever."""

    def __init__(self, *given: Any, on_stranger: Callable[[str, str], None]) -> None:
        """`on_stranger` hears the address of who could not speak TLS with us, and why."""
        super().__init__(*given, request_handler=Answering)
        self._on_stranger = on_stranger

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection, and no more: the next sender is waiting."""
        connected: tuple[socket.socket, tuple[str, int]] = self.socket.accept()
        return connected

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a sender on its own thread."""
        try:
            request.settimeout(HANDSHAKE_S)
            if self.ssl_context is not None:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            request.settimeout(IDLE_S)
        except OSError as error:
            request.close()  # it hears of its certificate by TLS itself
            if isinstance(error, ssl.SSLError) and error.reason is not None:
                words = error.reason.replace("_", " ").lower()
                self._on_stranger(client_address[0], f"no mutual TLS came about ({words})")
            return
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what went wrong there is the sender's, who hears of it."""

    def shutdown(self) -> None:
        """End; only for a server that no application entity has in its list."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()
