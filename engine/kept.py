"""What was compiled of an engine and kept for the next time: used only as it was written.

A compiled graph is code. A bit that flips in it on the disk would change every answer, and no
check of the bundle would see it. So its hash is noted beside it, and what is not as noted goes.
"""

import contextlib
import hashlib
import json
from pathlib import Path

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import write_whole

NOTES_NAME = "sha256.json"


def drop_altered(folder: Path) -> list[str]:
    """Remove what is not as `note` noted it; returns the names of what was removed."""
    noted = _read(folder)
    dropped = []
    for path in _list(folder):
        if noted.get(path.name) != _hash(path):
            dropped.append(path.name)
            with contextlib.suppress(OSError):
                path.unlink()
    return dropped


def note(folder: Path) -> None:
    """Note the hashes of what the folder keeps now; where that fails, it is compiled again."""
    found = {path.name: _hash(path) for path in _list(folder)}
    if found and found != _read(folder):
        with contextlib.suppress(OutputError):
            write_whole(folder / NOTES_NAME, json.dumps(found, indent=2) + "\n", mode=0o600)


def _list(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name != NOTES_NAME and path.is_file()]
    except OSError:
        return []


def _hash(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _read(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / NOTES_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
