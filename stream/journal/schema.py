"""The journal's tables, and how its file is opened: private, checked, of a known version."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from platformdirs import user_data_path

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.stream.journal.notebook import is_alive
from neurosono.stream.journal.older import MIGRATIONS, Migrations

APPLICATION_ID = 0x4E534E4F
"""`NSNO`, in SQLite's header: this file is ours."""
SCHEMA_VERSION = 5

TABLES = """
CREATE TABLE exam (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    about TEXT NOT NULL,
    writer TEXT NOT NULL,
    begun_ns INTEGER NOT NULL,
    begun_wall_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    ended_wall_ns INTEGER,
    ending TEXT
) STRICT;
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    monotonic_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    skip_reason TEXT,
    said BLOB NOT NULL
) STRICT;
CREATE INDEX result_of_exam ON result (exam, skip_reason);
CREATE TABLE reading (
    id INTEGER PRIMARY KEY,
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    reader TEXT NOT NULL,
    skip_reason TEXT,
    said BLOB NOT NULL
) STRICT;
CREATE INDEX reading_of_exam ON reading (exam, stream, seq);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    monotonic_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_exam ON event (exam);
CREATE TABLE key_frame (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    monotonic_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    label TEXT,
    status TEXT NOT NULL DEFAULT 'proposed',
    reviewed_wall_ns INTEGER,
    picture BLOB NOT NULL,
    heatmap BLOB
) STRICT;
CREATE INDEX key_frame_of_exam ON key_frame (exam);
CREATE TABLE notebook (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
"""
"""`result.id` is the order in which results came, which is the order in which the engine judged
them; `said` is the `Result` as `engine.contracts.codec` encodes it, without its heatmap, and
`skip_reason` stands beside it to be counted. So it is with a `reading` of the frame `stream, seq`.
The number of a deleted exam is not given again: what is still said of it must not reach another."""

READ_BUSY_MS = 5000
"""How long a reader, or a command, waits for another program's transaction."""


def default_path() -> Path:
    """Return `$XDG_DATA_HOME/neurosono/journal.sqlite`, or `~/.local/share/...` without it."""
    return user_data_path("neurosono") / "journal.sqlite"


def connect(path: Path, *, busy_ms: int = READ_BUSY_MS) -> sqlite3.Connection:
    """Open a connection with the journal's settings; transactions are begun by hand.

    `synchronous=FULL`: a commit is on the disk when it returns, so a power cut costs the
    transaction under way and no more (NORMAL would cost all since the last checkpoint). The writer
    has a thread of its own, so nobody waits for the disk. `secure_delete` overwrites what is
    deleted.
    """
    # never made here: a journal that was taken away must not come back as an empty one
    where = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(where, timeout=busy_ms / 1000, isolation_level=None, uri=True)
    for setting in (
        "foreign_keys=ON",
        "secure_delete=ON",
        "synchronous=FULL",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {setting}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Run the block as one transaction: all of it, or on an error nothing."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def prepare(path: Path, migrations: Migrations = MIGRATIONS, version: int = SCHEMA_VERSION) -> None:
    """Make the journal's file and folder, or check and migrate the one that is there.

    Folder 0700 where it is made here, file 0600. Raises `OutputError` where it cannot be made, and
    `InputError` where the file is damaged, none of ours, or of a newer release.
    """
    _make_private(path)
    try:
        with closing(connect(path)) as connection:
            _create(connection)
            _check_owner(path, connection)
            path.chmod(0o600)
            _migrate(path, connection, migrations, version)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except OSError as error:
        raise OutputError(
            f"cannot make {path} private: {error.strerror}; it belongs to another user: name "
            "another --journal"
        ) from error


def check_integrity(path: Path, connection: sqlite3.Connection) -> None:
    """Read the whole file and raise `InputError` if it is damaged."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise explain(path, error) from error
    if found != "ok":
        raise InputError(_describe_damage(path, found.replace("\n", " ")))


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only a new file is opened here: closing any descriptor of a database would drop the locks
        # that SQLite holds on it for the whole process.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        if not path.is_file():
            raise OutputError(f"journal {path} is no file: choose another --journal") from error
    except OSError as error:
        raise OutputError(
            f"cannot make the journal {path}: {error.strerror}; choose another --journal"
        ) from error


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, or in one whose maker was killed before it did."""
    if _is_made(connection):
        return
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # so that pruning gives the disk back
    connection.execute("PRAGMA journal_mode=WAL")
    with transaction(connection, "EXCLUSIVE"):
        if not _is_made(connection):  # another process may have been faster
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _is_made(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _check_owner(path: Path, connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != APPLICATION_ID:
        raise InputError(
            f"{path} is a database, but no journal of neurosono: name another file as --journal"
        )


def _migrate(
    path: Path, connection: sqlite3.Connection, migrations: Migrations, version: int
) -> None:
    found = _version(connection)
    if found > version:
        raise InputError(
            f"journal {path} is of version {found}, this release reads up to {version}: "
            "use the release that wrote it, or a newer one"
        )
    if found < version and any(map(is_alive, path.parent.glob(f"{path.name}-notes-*.ring"))):
        raise InputError(
            f"journal {path} is of version {found}, and an older release is writing to it: end "
            "that exam first"
        )
    while (found := _version(connection)) < version:
        if found not in migrations:
            raise InputError(f"journal {path} is of version {found}, which cannot be brought up")
        with transaction(connection, "IMMEDIATE"):
            if _version(connection) == found:  # another process may have been faster
                migrations[found](connection)
                connection.execute(f"PRAGMA user_version={found + 1}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def explain(path: Path, error: sqlite3.Error) -> InputError:
    """Return the sentence that SQLite's error means for the user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return InputError(_describe_damage(path, str(error)))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return InputError(f"journal {path} is held by another program: end it, then try again")
    return InputError(
        f"journal {path} cannot be used: {error}; free some space, or name another --journal"
    )


def _describe_damage(path: Path, how: str) -> str:
    return (
        f"journal {path} is damaged ({how}): move it and the files beside it away to keep them, "
        f"or save what can be read with `sqlite3 {path.name} .recover`"
    )
