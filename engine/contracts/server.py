"""Which inference server judges, and how it is reached."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Server:
    """A server that speaks the Open Inference Protocol, as the user named it.

    `url` is `http://HOST:PORT` or `https://…`; `token_file` holds what goes along as a bearer
    token, `authority` the certificates (PEM) that vouch for the server. With `fallback` an engine
    of this host stands in where the server fails; it leaves it alone for `rest_s`, and then asks it
    until it is back. `answer_s` is the longest
    that an answer may take, all in all: beside a scanner the screen says AI OFF at 500 ms, and a
    frame has some way behind it when it gets here. A session in mid-exam `waits` for a server that
    is away; one that begins does not.
    """

    url: str
    token_file: str | None = None
    authority: str | None = None
    fallback: bool = False
    answer_s: float = 0.4
    waits: bool = False
    rest_s: float = 5.0

    def read_token(self) -> str | None:
        """Return the token, None where there is no file; raises `InputError`."""
        if self.token_file is None:
            return None
        return read_token("--server-token", Path(self.token_file))


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` can be reached from this machine only."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(option: str, path: Path) -> str:
    """Return the token that a file holds; raises `InputError`, which names `option`."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{option} {path} cannot be read: {error}") from error
    if not token or not token.isprintable() or " " in token:
        raise InputError(f"{option} {path} holds no token, one word of ASCII")
    return token
