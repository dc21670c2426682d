"""Keys, and bundles that were signed by whom they should, by a stranger, or before a change."""

import shutil
from pathlib import Path

from neurosono.engine.bundle import read_manifest_bytes
from neurosono.engine.signature import make_key, sign

WRONG = {
    "unsigned": "is not signed",
    "stranger": "nobody here trusts",
    "altered": "altered since radiology signed it",
}
"""What is wrong with a bundle, and the words that it is refused with."""


def trust_one(folder: Path) -> Path:
    """Return a list of one trusted key; its private one lies beside it."""
    public = make_key(folder / "private.pem")
    keys = folder / "trusted-keys"
    keys.write_text(f"# the site's\n\nradiology {public}  # since May\n")
    return keys


def sign_copy(bundle: Path, to: Path, keys: Path, wrong: str = "") -> Path:
    """Return a copy of a bundle, signed by the trusted key unless something is `WRONG`."""
    shutil.copytree(bundle, to)
    key = keys.with_name("private.pem")
    if wrong == "stranger":
        key = to.with_name(f"{to.name}-stranger.pem")
        make_key(key)
    if wrong != "unsigned":
        sign(to, read_manifest_bytes(to), key)
    if wrong == "altered":
        manifest = to / "manifest.json"
        manifest.write_bytes(manifest.read_bytes() + b"\n")
    return to
