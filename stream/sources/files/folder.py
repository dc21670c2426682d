"""The media in a folder, recursively, in the order in which a person would list them."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.files.kinds import (
    DICOM_SUFFIXES,
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    find_kind,
    is_there,
    read_head,
)
from neurosono.stream.sources.left_out import LeftOut, Reason

JUNK_NAMES = frozenset(
    {"thumbs.db", "desktop.ini", "__macosx", "dicomdir", "lost+found", ".ds_store"}
)
"""Made by file browsers and by DICOM exporters beside the pictures, and never pictures."""


@dataclass(frozen=True)
class FolderListing:
    """The media of a folder in natural order, and the other files, which were left out."""

    media: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]


def list_media(
    folder: Path, on_bad: Callable[[Path, SourceError], None] | None = None
) -> FolderListing:
    """List every file under `folder` that looks like media, and why each other one does not.

    Hidden files, hidden folders and `JUNK_NAMES` are left out whatever they hold. Raises
    `SourceError` if a folder cannot be read, if no media are found, and if a file cannot be read
    or, named like media, is empty: unless `on_bad` is there to hear of such files.
    """
    media: list[Path] = []
    left_out: list[LeftOut] = []
    bad = 0
    for path in _walk(folder):
        try:
            reason = _find_reason(path, path.relative_to(folder))
        except SourceError as error:
            if on_bad is None:
                raise
            on_bad(path, error)
            bad += 1
            continue
        if reason is None:
            media.append(path)
        else:
            left_out.append(LeftOut(str(path.relative_to(folder)), reason))
    if not media and not bad:
        raise SourceError(
            f"the folder {str(folder)!r} holds no clip, still or DICOM file; expected at least "
            "one, so name a folder with an exam in it"
        )
    media.sort(key=lambda path: natural_key(path.relative_to(folder)))
    left_out.sort(key=lambda each: natural_key(Path(each.name)))
    return FolderListing(media=tuple(media), left_out=tuple(left_out))


def natural_key(path: Path) -> list[list[tuple[int, int, str]]]:
    """Return a key that sorts `clip2` before `clip10`, folder by folder, ignoring case."""
    return [
        [
            (0, int(piece), "") if piece.isdecimal() else (1, 0, piece)
            for piece in re.split(r"(\d+)", part.casefold())
            if piece
        ]
        for part in path.parts
    ]


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[Path] = set()  # links may lead round in circles

    def refuse(error: OSError) -> None:
        raise SourceError(
            f"cannot list the folder {str(error.filename)!r}: {error.strerror}; expected a folder "
            "that may be read, so check its permissions"
        ) from error

    for where, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(where)
        if here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        found.extend(here / name for name in files)
    return found


def is_junk(name: str) -> bool:
    """Whether a name is one that file browsers and exporters give (`JUNK_NAMES`, `._a.png`)."""
    return name.casefold() in JUNK_NAMES or name.startswith("._")


def _find_reason(path: Path, name: Path) -> Reason | None:
    """Return why a file is left out, None if it looks like media."""
    if any(is_junk(part) for part in name.parts):
        return Reason.SYSTEM
    if any(part.startswith(".") for part in name.parts):
        return Reason.HIDDEN
    if path.suffix.lower() in VIDEO_SUFFIXES | STILL_SUFFIXES | DICOM_SUFFIXES:
        read_head(path)
        return None
    if not is_there(path) or not path.is_file():
        return Reason.NO_MEDIUM
    if path.stat().st_size == 0:
        return Reason.EMPTY
    return None if find_kind(path) is not None else Reason.NO_MEDIUM
