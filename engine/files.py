"""Files that are whole or absent."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurosono.engine.contracts.errors import OutputError

PRIVATE = 0o600
"""What is of a patient may be read by its user alone, whatever the umask."""


@contextmanager
def writing(what: object, advice: str = "", *, doing: str = "write") -> Iterator[None]:
    """Raise what the system refuses as `OutputError`: `cannot write WHAT: REASON; ADVICE`."""
    try:
        yield
    except OSError as error:
        said = f"cannot {doing} {what}: {error.strerror or error}"
        raise OutputError(f"{said}; {advice}" if advice else said) from error


def create_private(path: Path) -> int:
    """Make a new, empty file of the user's own in the place of what stands there.

    Returns its descriptor, to be written through: in a folder of somebody else's a name may lead
    elsewhere a moment later. A link is taken away, never followed. Raises `OSError`.
    """
    path.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, PRIVATE)


def keep_private(path: Path) -> None:
    """Make sure that a file of the user's own is there; what is in it stays.

    A link is refused, never followed. A file that is there is not even opened: closing it would let
    go of the locks that SQLite holds on it elsewhere in this process (POSIX has them so). Raises
    `OSError`.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(path, flags, PRIVATE))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


@contextmanager
def making_folder(out: Path) -> Iterator[Path]:
    """Yield a new, empty folder that takes the place of `out` once it is whole.

    `out` is absent or an empty folder. What could not be made whole is gone. It lies in a folder
    that nobody else can have named: by its process id alone another container's may be meant.
    Raises `OSError`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name}.partial-", dir=out.parent, ignore_cleanup_errors=True
    ) as held:
        made = Path(held) / "whole"
        made.mkdir()
        yield made
        if out.is_dir():
            out.rmdir()
        made.rename(out)


def write_whole(
    path: Path,
    text: str,
    *,
    mode: int = 0o644,
    advice: str = "free some space or choose another folder",
) -> None:
    """Write `text` aside in UTF-8, then rename, so that nobody ever reads half of it.

    Raises `OutputError`, which ends in `advice`; nothing is left behind then.
    """
    with (
        writing(path, advice),
        tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file,
    ):
        aside = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            aside.chmod(mode)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
