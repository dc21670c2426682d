"""A file that a bundle answers for: a plain path inside it, and the sha256 of what it must hold."""

import re
from dataclasses import dataclass

from neurosono.engine.contracts.errors import BundleError

SHA256 = re.compile(r"[0-9a-f]{64}")

SAFE_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def check_path(path: str) -> str:
    """Return `path` if it stays inside the bundle; raise `BundleError` otherwise."""
    parts = path.split("/") if isinstance(path, str) else []
    if not isinstance(path, str) or not SAFE_PATH.fullmatch(path) or {".", ".."} & set(parts):
        raise BundleError(f"a bundle's file must be a plain path inside it, found {path!r}")
    return path


@dataclass(frozen=True)
class BundleFile:
    """A file of the bundle, by its path inside it and the sha256 of what it must hold."""

    path: str
    sha256: str

    def __post_init__(self) -> None:
        check_path(self.path)
        if not isinstance(self.sha256, str) or not SHA256.fullmatch(self.sha256):
            raise BundleError(f"{self.path} needs a sha256 of 64 hex digits: {self.sha256!r}")
