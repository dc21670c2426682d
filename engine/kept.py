"""What was compiled of an engine and kept for the next time: used only as it was written.

A compiled graph is code. A bit that flips in it on the disk would change every answer, and no
check of the bundle would see it. So its hash is noted beside it, and what is not as noted goes.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from platformdirs import user_cache_path

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.contracts.gate import GateEntry
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.files import write_whole

NOTES_NAME = "sha256.json"

UNUSED_S = 30 * 86400.0
"""What nobody took up for so long goes: an engine's compiled form is 5 to 100 MB, and a bundle
made anew, another release of the runtime and another place on the disk each bring one more."""

Taken = Mapping[str, tuple[str, tuple[int, int, int] | None]]
"""Of each file that was taken up its hash, and what changes with its content."""


def find_cache(entry: EngineEntry | GateEntry, *settings: object) -> Path | None:
    """Return the user's own folder for what is compiled of an engine; None where there is none.

    Not in the bundle: what is kept is run as it lies there, and a bundle may come from anywhere.
    Named by the engine's hashes, so another engine never finds it, and by `settings`, such as its
    threads, so that nobody reads through what was compiled for others.
    """
    base = find_own("engines")
    name = "-".join(sorted(file.sha256[:16] for file in entry.files))
    about = hashlib.sha256(repr([str(each) for each in settings]).encode()).hexdigest()[:16]
    return None if base is None else base / name / about


def find_own(name: str) -> Path | None:
    """Return a folder of the user's cache that nobody else may write to; None: there is none."""
    base = user_cache_path("neurosono") / name
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        mine = base.stat().st_uid == os.getuid() and not base.stat().st_mode & 0o022
    except OSError:
        return None
    return base if mine and os.access(base, os.W_OK) else None


@contextlib.contextmanager
def keeping(entry: EngineEntry | GateEntry, *settings: object) -> Iterator[Path | None]:
    """Yield the folder that keeps what is compiled of an engine, checked; None: there is none.

    What is compiled meanwhile is noted, so that the next time may use it.
    """
    folder = find_cache(entry, *settings)
    taken = {} if folder is None else take_up(folder)
    yield folder
    if folder is not None:
        note(folder, taken)


def take_up(folder: Path) -> Taken:
    """Make sure that `folder` holds nothing but what was noted; returns what that is."""
    drop_altered(folder)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(folder)
    noted = _read(folder)
    return {
        path.name: (noted[path.name], _look(path)) for path in _list(folder) if path.name in noted
    }


def drop_unused(base: Path, before_s: float) -> list[Path]:
    """Remove what was last taken up before `before_s`, of whatever engine; returns what went."""
    dropped = []
    for path in sorted(base.glob("*/*")):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before_s:
                path.unlink() if path.is_file() else shutil.rmtree(path)
                dropped.append(path)
                path.parent.rmdir()  # where that was the last of it
    return dropped


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


def note(folder: Path, taken: Taken = MappingProxyType({})) -> None:
    """Note the hashes of what was written since `take_up`; where that fails, it is compiled again.

    Then, too, what nobody uses of all that is kept goes: there is more of it than before.
    """
    found: dict[str, str | None] = {}
    for path in _list(folder):
        known, as_it_was = taken.get(path.name, (None, None))
        found[path.name] = known if known and as_it_was == _look(path) else _hash(path)
    if found and found != _read(folder):
        with contextlib.suppress(OutputError):
            write_whole(folder / NOTES_NAME, json.dumps(found, indent=2) + "\n", mode=0o600)
        drop_unused(folder.parent.parent, time.time() - UNUSED_S)


def _look(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file's content, as it is now."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


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
