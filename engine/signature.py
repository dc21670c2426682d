"""Who made a bundle: an Ed25519 signature over its manifest, and a site's list of trusted keys.

The manifest answers for every file by its sha256, so whoever signs the manifest signs the bundle.
Needs `cryptography`; nothing here is imported where no signature is asked for.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_path

from neurosono.engine.contracts.errors import BundleError, InputError, OutputError
from neurosono.engine.files import write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_NAME = "signature.json"
SCHEMA = "neurosono-signature/1"

_CONTEXT = b"neurosono-bundle-signature/1\0"
"""Said before what is signed, so that a signature of a bundle is none of anything else."""

_LARGEST_BYTES = 65_536
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,63}")


@dataclass(frozen=True)
class TrustedKey:
    """A public key and who the site says it belongs to."""

    name: str
    key: bytes


def find_trusted_keys() -> Path:
    """Return where a site's list of trusted keys stands unless another is named."""
    return user_config_path("neurosono") / "trusted-keys"


def choose_keys(require_signed: bool, trusted_keys: str | Path | None) -> str | None:
    """Return the list of keys of which one must have signed each bundle; None where nobody asks."""
    if trusted_keys is None and not require_signed:
        return None
    return str(find_trusted_keys() if trusted_keys is None else trusted_keys)


def read_trusted_keys(path: Path) -> list[TrustedKey]:
    """Read a list of keys: `NAME KEY` a line, `#` begins a remark; raises `InputError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(
            f"the trusted keys in {path} cannot be read ({reason}): write `NAME KEY` there, a line "
            "a key, as `neurosono bundle make-key` prints them"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        key = _read_base64(words[1], 32) if len(words) == 2 else None
        if key is None or not _NAME.fullmatch(words[0]):
            raise InputError(
                f"line {number} of {path} must be `NAME KEY`, as `neurosono bundle make-key` "
                f"prints it, found {line[:80]!r}"
            )
        found.append(TrustedKey(words[0], key))
    return found


def make_key(path: Path) -> str:
    """Write a new private key (PEM, mode 600) and return its public one in base64.

    Raises `OutputError` where the file is there already or cannot be written.
    """
    ed25519, serialization = _import()
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path} is there already: choose another name for the new key")
    private = ed25519.Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_whole(path, pem.decode("ascii"), mode=0o600)
    return _public(private)


def sign(root: Path, manifest: bytes, key: Path) -> str:
    """Sign a bundle by its manifest's bytes; returns the public key in base64.

    Raises `InputError` where `key` is no Ed25519 private key in PEM, or is open to others.
    """
    private = _read_private(key)
    public = _public(private)
    signed = base64.b64encode(private.sign(_CONTEXT + manifest)).decode("ascii")
    said = {"schema": SCHEMA, "key": public, "signature": signed}
    write_whole(root / SIGNATURE_NAME, json.dumps(said, indent=2) + "\n")
    return public


def verify(root: Path, manifest: bytes, trusted: list[TrustedKey]) -> TrustedKey:
    """Return which of the `trusted` keys signed exactly these bytes.

    Raises `BundleError` where none did: no signature, a stranger's, or one of other bytes.
    """
    ed25519, _ = _import()
    from cryptography.exceptions import InvalidSignature

    key, signature = _read_signature(root)
    known = next((each for each in trusted if each.key == key), None)
    if known is None:
        raise BundleError(
            f"bundle {root} is signed by a key that nobody here trusts "
            f"({base64.b64encode(key).decode('ascii')}): add it to the trusted keys, if it is its "
            "maker's, or use another bundle"
        )
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, _CONTEXT + manifest)
    except InvalidSignature as error:
        raise BundleError(
            f"the signature of bundle {root} is not of this bundle: it was altered since "
            f"{known.name} signed it; copy it again, or let its maker sign it anew"
        ) from error
    return known


def _read_signature(root: Path) -> tuple[bytes, bytes]:
    path = root / SIGNATURE_NAME
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_LARGEST_BYTES))
    except FileNotFoundError as error:
        raise BundleError(
            f"bundle {root} is not signed: let its maker sign it with `neurosono bundle sign`"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: let the bundle's maker sign it anew") from error
    if isinstance(said, dict) and said.get("schema") == SCHEMA:
        key, signature = _read_base64(said.get("key"), 32), _read_base64(said.get("signature"), 64)
        if key is not None and signature is not None:
            return key, signature
    raise BundleError(f"{path} is no signature of schema {SCHEMA}: let its maker sign it anew")


def _read_base64(text: Any, length: int) -> bytes | None:
    try:
        found = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == length else None


def _read_private(path: Path) -> "Ed25519PrivateKey":
    ed25519, serialization = _import()
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(f"the key {path} is open to others: run `chmod 600` on it")
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise InputError(f"the key {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is no private key that `neurosono bundle make-key` wrote"
        ) from error
    if not isinstance(found, ed25519.Ed25519PrivateKey):
        raise InputError(f"{path} holds a key of another kind, expected Ed25519")
    private: Ed25519PrivateKey = found
    return private


def _public(private: "Ed25519PrivateKey") -> str:
    _, serialization = _import()
    raw = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return base64.b64encode(raw).decode("ascii")


def _import() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise InputError(
            "signatures need cryptography, which is not installed: run `pip install "
            "'neurosono[signing]'`"
        ) from error
    return ed25519, serialization
