"""pynetdicom's application entity, but for the sockets that it leaves open.

Where a peer hung up first, reset the line or never answered, shutting a socket fails, and the
library leaves closing it to Python's collector. This holds for both sides of an association.
"""

import contextlib
import socket
from typing import Any

from pynetdicom import AE
from pynetdicom.transport import AssociationSocket, RequestHandler


class Line(AssociationSocket):  # type: ignore[misc]
    """One end of an association, which is closed for good whoever hangs up first."""

    def _shutdown_socket(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class Answering(RequestHandler):  # type: ignore[misc]
    """Begins an association with whoever came in."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        association.dul.socket.__class__ = Line  # the library names the class that it makes
        return association


class Entity(AE):  # type: ignore[misc]
    """Asks for associations, and answers them."""

    def make_server(self, *given: Any, **more: Any) -> Any:
        """Return a server; as the library's own."""
        return super().make_server(*given, **{"request_handler": Answering, **more})

    def _create_socket(self, assoc: Any, address: Any, tls_args: Any) -> Line:
        line = Line(assoc, address=address)
        line.tls_args = tls_args
        return line
