"""Where senders come in: pynetdicom's server, but for what a bad sender could do to it."""

import contextlib
import socket
import socketserver
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

IDLE_S = 60.0
"""A sender that says nothing for so long, in the midst of a transfer or not, is sent away."""
HANDSHAKE_S = 10.0


class _Plain(socket.socket):
    """A socket that can always be closed: the library leaves it open where shutting it fails."""

    def shutdown(self, how: int) -> None:
        with contextlib.suppress(OSError):
            super().shutdown(how)


class Door(ThreadedAssociationServer):  # type: ignore[misc]
    """Shakes hands on each sender's own thread, and waits for none of them for ever."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection, and no more: the next sender is waiting."""
        connected, address = self.socket.accept()
        return _Plain(fileno=connected.detach()), address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a sender on its own thread."""
        try:
            request.settimeout(HANDSHAKE_S)
            if self.ssl_context is not None:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            request.settimeout(IDLE_S)
        except OSError:
            request.close()  # it hears of its certificate by TLS itself
            return
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what went wrong there is the sender's, who hears of it."""

    def shutdown(self) -> None:
        """End; only for a server that no application entity has in its list."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()
