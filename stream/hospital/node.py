"""A DICOM node, as the user names it."""

from dataclasses import dataclass

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.hospital.tls import Tls

OWN_TITLE = "NEUROSONO"


@dataclass(frozen=True)
class Node:
    """Its application entity's title, where it listens, and how we call ourselves to it.

    With `tls` both sides show a certificate.
    """

    title: str
    host: str
    port: int
    own_title: str = OWN_TITLE
    tls: Tls | None = None

    def __post_init__(self) -> None:
        for title in (self.title, self.own_title):
            check_title(title)

    @property
    def where(self) -> str:
        """Return it in words."""
        return f"{self.title} at {self.host}:{self.port}"

    @property
    def words(self) -> str:
        """Return it as `parse_node` reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.title}@{host}:{self.port}"


def check_title(title: str) -> str:
    """Return the title of an application entity; raises `InputError` where it cannot be one."""
    if not 0 < len(title.strip()) <= 16 or "\\" in title or not title.isprintable():
        raise InputError(f"an AE title has 1 to 16 letters and no backslash, found {title!r}")
    return title


def parse_node(words: str, own_title: str = OWN_TITLE, tls: Tls | None = None) -> Node:
    """Read `AE@HOST:PORT`; raises `InputError`."""
    title, at, place = words.partition("@")
    host, colon, port = place.rpartition(":")
    if not (at and colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError(f"a DICOM node is named AE@HOST:PORT, found {words!r}")
    return Node(title, host.strip("[]"), int(port), own_title, tls)
