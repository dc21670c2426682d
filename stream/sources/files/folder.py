"""The media in a folder, recursively, in the order in which a person would list them."""

import os
import re
from collections.abc import Callable, Iterator
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
    for path, found in find_media(folder):
        if found is None:
            media.append(path)
        elif not isinstance(found, SourceError):
            left_out.append(LeftOut(str(path.relative_to(folder)), found))
        elif on_bad is None:
            raise found
        else:
            on_bad(path, found)
            bad += 1
    if not media and not bad:
        raise SourceError(
            f"the folder {str(folder)!r} holds no clip, still or DICOM file; expected at least "
            "one, so name a folder with an exam in it"
        )
    return FolderListing(media=tuple(media), left_out=tuple(left_out))


def find_media(folder: Path) -> Iterator[tuple[Path, Reason | SourceError | None]]:
    """Yield every file under `folder` in natural order, each with why it is left out, what is wrong
    with it, or None where it looks like media.

    A folder's names are in memory at a time, however many files there are in all. Raises
    `SourceError` if a folder cannot be read.
    """
    for path in _walk(folder):
        try:
            yield path, _find_reason(path, path.relative_to(folder))
        except SourceError as error:
            yield path, error


def list_entries(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder in natural order, each with whether it leads to a folder.

    Raises `SourceError` if the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            listed = [(natural_key(entry.name), _is_folder(entry)) for entry in entries]
    except OSError as error:
        raise SourceError(
            f"cannot list the folder {str(folder)!r}: {error.strerror}; expected a folder "
            "that may be read, so check its permissions"
        ) from error
    listed.sort()
    return [(name, is_folder) for (_, name), is_folder in listed]


def natural_key(name: str) -> tuple[str, str]:
    """Return a key that sorts `clip2` before `clip10`, ignoring case; names that differ in nothing
    else have an order too."""
    return re.sub(r"\d+", _pad, name.casefold()), name


def _pad(number: re.Match[str]) -> str:
    """Write a number so that it sorts by its size, and before a letter."""
    digits = str(int(number[0]))
    return f"\0{len(digits):03}{digits}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it says so
        return False


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files under a folder, and follow links, which may lead round in circles."""
    seen: set[tuple[int, int]] = set()
    levels: list[tuple[Path, Iterator[tuple[str, bool]]]] = []

    def enter(where: Path) -> bool:
        """Go down into a folder, unless it was seen by another name."""
        entries, found = list_entries(where), where.stat()
        if (found.st_dev, found.st_ino) in seen:
            return False
        seen.add((found.st_dev, found.st_ino))
        levels.append((where, iter(entries)))
        return True

    enter(folder)
    while levels:
        here, entries = levels[-1]
        for name, is_folder in entries:
            if not is_folder:
                yield here / name
            elif enter(here / name):
                break
        else:
            levels.pop()


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
