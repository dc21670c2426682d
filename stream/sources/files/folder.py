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
    read_head,
)

JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx", "dicomdir", "lost+found"})
"""Made by file browsers and by DICOM exporters beside the pictures, and never pictures."""


@dataclass(frozen=True)
class FolderListing:
    """The media of a folder in natural order, and how many other files were left out."""

    media: tuple[Path, ...]
    ignored: int


def list_media(
    folder: Path, on_bad: Callable[[Path, SourceError], None] | None = None
) -> FolderListing:
    """List every file under `folder` that looks like media.

    Hidden files, hidden folders and `JUNK_NAMES` are passed over. Other files that look like no
    medium at all (a licence, a table) are counted. Raises `SourceError` if a folder cannot be read,
    if no media are found, and if a file cannot be read or, named like media, is empty: unless
    `on_bad` is there to hear of such files, which are then left out.
    """
    media: list[Path] = []
    ignored = bad = 0
    for path in _walk(folder):
        try:
            if _looks_like_media(path):
                media.append(path)
            else:
                ignored += 1
        except SourceError as error:
            if on_bad is None:
                raise
            on_bad(path, error)
            bad += 1
    if not media and not bad:
        raise SourceError(
            f"the folder {str(folder)!r} holds no clip, still or DICOM file; expected at least "
            "one, so name a folder with an exam in it"
        )
    media.sort(key=lambda path: natural_key(path.relative_to(folder)))
    return FolderListing(media=tuple(media), ignored=ignored)


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
        folders[:] = [name for name in folders if not _is_junk(name)]
        found.extend(here / name for name in files if not _is_junk(name))
    return found


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.casefold() in JUNK_NAMES


def _looks_like_media(path: Path) -> bool:
    if path.suffix.lower() in VIDEO_SUFFIXES | STILL_SUFFIXES | DICOM_SUFFIXES:
        read_head(path)
        return True
    if not path.is_file() or path.stat().st_size == 0:
        return False
    return find_kind(read_head(path), path.suffix) is not None
