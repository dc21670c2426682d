"""Reading in what a killed process had said to the journal."""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.files import create_private, writing
from neurosono.stream.journal.notebook import Notebook, is_alive
from neurosono.stream.journal.schema import connect, explain
from neurosono.stream.journal.writer import Writer

UNREAD = ".unread"
"""Added to a notebook's name: the file of those entries that this release cannot read."""


def new_notebook_path(journal: Path) -> Path:
    """Return where a new notebook of this journal goes: beside it, under a name of its own."""
    return journal.with_name(f"{journal.name}-notes-{secrets.token_hex(6)}.ring")


def recover(journal: Path) -> tuple[Path, ...]:
    """Bring every notebook whose process was killed into the database.

    Each entry once: how far a notebook was read stands in the transaction that wrote its entries.
    Entries that cannot be read (another release wrote them) are put into a file beside; returns
    those files. Raises `InputError` where the database cannot be written now: nothing is lost.
    """
    unread = []
    _sweep(journal)
    try:
        with closing(connect(journal)) as connection:
            for path in sorted(journal.parent.glob(f"{journal.name}-notes-*.ring")):
                row = connection.execute(
                    "SELECT position FROM notebook WHERE name = ?", (path.name,)
                ).fetchone()
                left = _recover(journal, path, int(row[0]) if row else 0)
                unread += [] if left is None else [left]
            for (name,) in connection.execute("SELECT name FROM notebook").fetchall():
                if not (journal.parent / name).exists():
                    connection.execute("DELETE FROM notebook WHERE name = ?", (name,))
    except sqlite3.Error as error:
        raise explain(journal, error) from error
    return tuple(unread)


def _recover(journal: Path, path: Path, position: int) -> Path | None:
    notebook = Notebook.take_over(path, position)
    if notebook is None:
        return None
    refused: list[bytes] = []
    writer = Writer(journal, notebook, on_refused=refused.append)
    writer.drain()
    status = writer.status
    if status.fault is not None:
        notebook.close()
        raise InputError(f"journal {journal}: {status.message}; then try again")
    left = path.with_name(path.name + UNREAD) if refused or notebook.damaged else None
    if left is not None:
        with writing(left, "free some space"), os.fdopen(create_private(left), "wb") as file:
            file.write(b"".join((*refused, notebook.noise)))
    notebook.close()
    return left


def _sweep(journal: Path) -> None:
    """Remove notebooks that were never finished: their makers were killed, nothing is in them."""
    for path in journal.parent.glob(f"{journal.name}-notes-*.new"):
        if not is_alive(path):
            path.unlink(missing_ok=True)
