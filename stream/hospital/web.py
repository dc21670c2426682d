"""Connections to DICOMweb servers, by TLS where their address says so, and why there was none."""

import contextlib
import http.client
import ssl
from urllib.parse import SplitResult, urlsplit

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.hospital.tls import Tls, explain, tell_tls

TIMEOUT_S = 30.0


def split_address(url: str) -> SplitResult:
    """Return the parts of the address of a server's root; raises `InputError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise InputError(
            "a DICOMweb server is named http(s)://HOST[:PORT]/PATH, without a password"
        )
    return parts


def connect(
    scheme: str, host: str, port: int | None, tls: Tls | None
) -> http.client.HTTPConnection:
    """Return a connection that is not open yet; with `tls` both sides show a certificate."""
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    context = ssl.create_default_context() if tls is None else tls.make_context(listening=False)
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def tell_failure(
    error: Exception, scheme: str, host: str, port: int | None, tls: Tls | None
) -> str:
    """Return why a server gave no answer, or what of TLS was refused as far as can be found out."""
    secure = scheme == "https"
    if isinstance(error, ssl.SSLError) and tls is None:
        return explain(error)
    if secure == (tls is not None) and not isinstance(error, TimeoutError):
        # who refuses our certificate hangs up, and may do so before we have read why
        with contextlib.suppress(OSError):
            if said := tell_tls(tls, host, port or (443 if secure else 80)):
                return said
    reason = getattr(error, "strerror", None) or type(error).__name__
    return f"gave no answer: {reason}"
