"""Reading in what a killed process had said to the journal, and getting rid of exams for good."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.contracts.errors import InputError
from stream.journal_notebook import Notebook
from stream.journal_schema import connect, explain
from stream.journal_writer import Writer

UNREAD = ".unread"
"""Added to the name of a notebook that holds what this release cannot read."""


def new_notebook_path(journal: Path) -> Path:
    """Return where a new notebook of this journal goes: beside it, under a name of its own."""
    return journal.with_name(f"{journal.name}-notes-{secrets.token_hex(6)}.ring")


def recover(journal: Path) -> tuple[Path, ...]:
    """Bring every notebook whose process was killed into the database.

    Each entry once: how far a notebook was read stands in the transaction that wrote its entries.
    Returns the notebooks that could not be read wholly; they stay, under another name. Raises
    `InputError` where the database cannot be written now; then nothing is lost either.
    """
    unread = []
    for path in sorted(journal.parent.glob(f"{journal.name}-notes-*.ring")):
        try:
            left = _recover(journal, path)
        except sqlite3.Error as error:
            raise explain(journal, error) from error
        if left is not None:
            unread.append(left)
    return tuple(unread)


def _recover(journal: Path, path: Path) -> Path | None:
    with closing(connect(journal)) as connection:
        row = connection.execute(
            "SELECT position FROM notebook WHERE name = ?", (path.name,)
        ).fetchone()
        notebook = Notebook.take_over(path, int(row[0]) if row else 0)
        if notebook is None:
            return None
        writer = Writer(journal, notebook)
        writer.drain()
        status = writer.status
        if status.fault is not None:
            notebook.close(remove=False)
            raise InputError(f"journal {journal}: {status.message}; then try again")
        if status.refused:
            notebook.close(remove=False)
            return path.replace(path.with_name(path.name + UNREAD))
        notebook.close(remove=True)
        connection.execute("DELETE FROM notebook WHERE name = ?", (path.name,))
    return None
