"""How the commands speak: one console, and one way to end."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.contracts.errors import OutputError

console = Console(stderr=True, highlight=False)
"""What people read goes to standard error; standard output is left to `--json -`."""


def write_json_report(where: Path | None, content: dict[str, Any]) -> None:
    """Write what machines read to `where` (`-`: standard output; None: nowhere)."""
    if where is None:
        return
    text = json.dumps(content, indent=2) + "\n"
    if str(where) == "-":
        print(text, end="")  # noqa: T201
        return
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
    except OSError as error:
        raise OutputError(
            f"cannot write {where}: {error.strerror}; choose another --json"
        ) from error
