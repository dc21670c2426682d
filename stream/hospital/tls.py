"""Mutual TLS with the hospital's nodes: each side shows a certificate that the other side knows."""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError

LONGEST_S = 5.0
VERDICT_S = 2.0
"""How long the other side may take to refuse our certificate once its own was taken (TLS 1.3)."""
_OF_THEIRS = {10: "has expired", 9: "is not valid yet", 62: "is another node's", 64: "is another node's"}  # fmt: skip  # noqa: E501
"""OpenSSL's X509_V_ERR_*, of the certificate that we were shown."""
_OF_OURS = {
    "CERTIFICATE_EXPIRED": "finds our certificate expired",
    "UNKNOWN_CA": "does not know who vouches for our certificate",
    "CERTIFICATE_REQUIRED": "was shown no certificate of ours",
    "CERTIFICATE_UNKNOWN": "refuses our certificate",
    "BAD_CERTIFICATE": "refuses our certificate",
    "CERTIFICATE_REVOKED": "knows our certificate as revoked",
    "HANDSHAKE_FAILURE": "finds no TLS that it shares with us",
}
"""Alerts of the other side (RFC 8446, 6.2), as OpenSSL's reasons end."""


@dataclass(frozen=True)
class Tls:
    """PEM files: our certificate, its key, and the certificates that vouch for the other side."""

    certfile: str
    keyfile: str
    cafile: str

    def make_context(self, *, listening: bool) -> ssl.SSLContext:
        """Return what wraps a socket; raises `InputError` where the files are none."""
        side = ssl.PROTOCOL_TLS_SERVER if listening else ssl.PROTOCOL_TLS_CLIENT
        try:
            context = ssl.SSLContext(side)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # without a word to try, OpenSSL would ask the terminal for the key's
            context.load_cert_chain(self.certfile, self.keyfile, password=lambda: "")
            context.load_verify_locations(self.cafile)
            context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            raise InputError(
                f"the TLS files cannot be used ({error}); expected a certificate, its key without "
                "a password and the certificates that vouch for the other side, in PEM"
            ) from error
        return context


def read_tls(names: str, cert: Path | None, key: Path | None, ca: Path | None) -> Tls | None:
    """Return what three options give, or None where none is given.

    `names` are theirs in words. Raises `InputError` for one or two, and for files that are none.
    """
    if cert is None and key is None and ca is None:
        return None
    if cert is None or key is None or ca is None:
        raise InputError(f"mutual TLS needs {names}: give all three or none")
    tls = Tls(str(cert.absolute()), str(key.absolute()), str(ca.absolute()))
    tls.make_context(listening=False)
    return tls


def tell_tls(tls: Tls | None, host: str, port: int) -> str:
    """Shake hands by ourselves and return why that fails; nothing where it does not.

    Without `tls`, whether the other side would have it. Raises `OSError` where nobody listens.
    """
    with socket.create_connection((host, port), LONGEST_S) as plain:
        if tls is None:
            return "wants TLS: give certificates" if _wants_tls(plain, host) else ""
        try:
            with tls.make_context(listening=False).wrap_socket(plain, server_hostname=host) as own:
                own.settimeout(VERDICT_S)
                with contextlib.suppress(TimeoutError):
                    own.recv(1)
        except ssl.SSLError as error:
            return explain(error)
        except OSError:
            return "does not speak TLS as we do"
    return ""


def explain(error: ssl.SSLError) -> str:
    """Return in words which certificate was refused, and why."""
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = "is vouched for by nobody that we know"
        return f"shows a certificate that {_OF_THEIRS.get(error.verify_code, unknown)}"
    reason = str(error.reason or "")
    found = [words for ending, words in _OF_OURS.items() if reason.endswith(ending)]
    return found[0] if found else "does not speak TLS as we do"


def _wants_tls(plain: socket.socket, host: str) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason or "")
    except OSError:
        return False
    return True
