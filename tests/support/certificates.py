"""Certificates of a hospital that does not exist: an authority, and what it vouches for."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from neurosono.stream.hospital.tls import Tls
from tests.support.senders import HOST

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Authority:
    """Who vouches for certificates; each lies in `folder` with its key."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def path(self) -> Path:
        return self.folder / "authority.pem"

    def issue(
        self,
        name: str,
        *,
        host: str = HOST,
        ends_days: float = 1.0,
        trusting: "Authority | None" = None,
    ) -> Tls:
        """Return a certificate for a host's address that ends so many days from now.

        Who shows it believes what this authority vouches for, or another (`trusting`).
        """
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        certificate = _build(name, key, self.certificate.subject, ends_days)
        signed = certificate.add_extension(address, critical=False).sign(self.key, hashes.SHA256())
        own, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        own.write_bytes(signed.public_bytes(PEM))
        secret.write_bytes(_write_key(key))
        return Tls(str(own), str(secret), str((trusting or self).path))


def make_authority(folder: Path) -> Authority:
    """Make one in a new folder."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
    built = _build(folder.name, key, name, 2.0)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    authority = Authority(folder, key, built.sign(key, hashes.SHA256()))
    authority.path.write_bytes(authority.certificate.public_bytes(PEM))
    return authority


def _build(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, ends_days: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=ends_days))
    )


def _write_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(PEM, kind, none)
