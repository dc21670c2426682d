"""Who may look: the page's own origin only, and only with the token.

A page elsewhere in the browser must not open our socket (cross-site WebSocket), nor a foreign name
that was made to point at this machine (DNS rebinding), nor another user of this machine, to whom
loopback is open as well.
"""

import hashlib
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.server import LOOPBACK_NAMES, is_loopback

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Sent with everything: no foreign script, frame or reader, and no patient's picture in a cache."""


def make_token() -> str:
    """Return a new token: 192 random bits, in letters that a URL carries as they are."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """The rules of one server: where it listens, over what, and with which token, if any."""

    host: str
    port: int
    scheme: str
    token: str | None
    allowed: tuple[tuple[str, int | None], ...] = ()
    """Other names and ports by which it is reached, as behind a forward; no port: any."""

    def admits_host(self, headers: Mapping[str, str]) -> bool:
        """Whether the Host header names this server, by one of the names it may have."""
        name, port = split_host(headers.get("host", ""))
        default = 443 if self.scheme == "https" else 80
        for allowed, at in self.allowed:
            if name == allowed and at in (None, port or default):
                return True
        if (port or default) != self.port:
            return False
        if is_loopback(self.host):
            return name in LOOPBACK_NAMES or name == self.host.lower()
        # from outside also by any address: rebinding needs a name, and the token is asked for too
        own = {self.host, socket.gethostname(), socket.gethostname() + ".local"}
        return name in {one.lower() for one in own} | LOOPBACK_NAMES or _is_address(name)

    def admits_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether the page that asks is our own; every browser says so when it opens a socket."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        if origin == f"{self.scheme}://{host}":
            return True
        # a proxy in front may add TLS, but only where the user named it
        return split_host(host)[0] in dict(self.allowed) and origin == f"https://{host}"

    def admits_token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether the token is right: from the URL, as a bearer, or as our cookie."""
        given = query.get("token", "")
        if not given and headers.get("authorization", "").startswith("Bearer "):
            given = headers["authorization"].removeprefix("Bearer ")
        return self._is_token(given or _read_cookie(headers, self.cookie_name))

    @property
    def cookie_name(self) -> str:
        """The cookie's name, one a token: a browser keeps one jar for all ports of a host."""
        return "neurosono-" + hashlib.sha256((self.token or "").encode()).hexdigest()[:12]

    def make_cookie(self) -> str:
        """Return the header that leaves the token with the browser, so that its URL can be clean.

        It ends with the browser, no script reads it, and another site's page does not send it.
        """
        secure = "; Secure" if self.scheme == "https" else ""
        return f"{self.cookie_name}={self.token}; Path=/; HttpOnly; SameSite=Lax{secure}"

    def _is_token(self, given: str) -> bool:
        if self.token is None:
            return True
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def _read_cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def parse_allowed(value: str) -> tuple[str, int | None]:
    """Read NAME or NAME:PORT of `--allow-host`; raises `InputError` if it is neither."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", value)
    port = None if found is None or found[2] is None else int(found[2])
    if found is None or (port is not None and not 0 < port < 65536):
        raise InputError(
            "--allow-host must be NAME or NAME:PORT, as the browser's address bar has it, found "
            f"{value!r}"
        )
    return found[1].strip("[]").lower(), port


def split_host(value: str) -> tuple[str, int | None]:
    """Return name and port of a Host header; a name in brackets is an IPv6 address."""
    name, colon, port = value.rpartition(":")
    if not colon or value.endswith("]"):
        name, port = value, ""
    number = int(port) if port.isascii() and port.isdigit() else None
    return name.strip("[]").lower(), number


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
