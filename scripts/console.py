"""How the commands speak: one console, and one way to end."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import PRIVATE, write_whole, writing

console = Console(stderr=True, highlight=False)
"""What people read goes to standard error; standard output is left to `--json -`."""


@contextmanager
def counting(words: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show a bar that goes once it is done; what is given is called for each thing done."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda: bar.advance(task)


def check_json_place(where: Path | None) -> None:
    """Raise `OutputError` where a report could not be written later: before the work, not after."""
    if where is None or str(where) == "-":
        return
    folder = where.parent
    while not folder.exists():
        folder = folder.parent
    if where.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {where}: choose another --json")


def write_json_report(where: Path | None, content: dict[str, Any]) -> None:
    """Write what machines read to `where` (`-`: standard output; None: nowhere)."""
    if where is None:
        return
    text = json.dumps(content, indent=2) + "\n"
    with writing(where, "choose another --json"):
        if str(where) == "-":
            print(text, end="", flush=True)  # noqa: T201
            return
        where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if where.exists() and not where.is_file():
            where.write_text(text)  # a pipe or a terminal, which is not to be replaced
        else:
            write_whole(where, text, mode=PRIVATE, advice="choose another --json")
