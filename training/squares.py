"""Squares on disk, and what is known of each: what the gate and the detector learn from.

`frames.npy` is uint8 `(N, S, S)`; an index has a line a square; a summary in JSON the schema, the
sources with their licences, and the digest of both.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.files import writing

FRAMES_NAME = "frames.npy"
PHANTOM = "phantom"
"""The source of all that was generated: counted apart from real pictures everywhere."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Shelf:
    """One kind of such folders: schema, files, name, who learns of it, and what makes it."""

    schema: str
    index_name: str
    summary_name: str
    what: str
    learner: str
    command: str

    def read(
        self, root: Path, parse: Callable[[str], Sequence[Row]]
    ) -> tuple[tuple[Row, ...], Pixels, tuple[str, ...], str]:
        """Return rows, squares (mapped, not read), attribution and digest.

        Raises `InputError` where the folder is not whole, or was altered.
        """
        again = f"make it again with `{self.command}`"
        try:
            summary = json.loads((root / self.summary_name).read_bytes())
            index = (root / self.index_name).read_text()
            squares = np.load(root / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
            rows = tuple(parse(index))
            attribution = tuple(str(line) for line in summary["attribution"])
            digest = str(summary["digest"])
            whole = summary["schema"] == self.schema and digest == _digest(index, squares)
        except (OSError, ValueError, KeyError, TypeError, InputError) as error:
            raise InputError(f"{root} holds no {self.what} ({error!r}): {again}") from error
        if not whole or squares.shape[0] != len(rows) or squares.dtype != np.uint8:
            raise InputError(f"{self.what} {root} were altered, or are of another release: {again}")
        return rows, squares, attribution, digest

    def write(
        self, root: Path, squares: Sequence[Pixels], index: str, attribution: Sequence[str]
    ) -> None:
        """Write all of it aside, then rename; raises `OutputError`, `InputError` without any."""
        if not squares:
            raise InputError(f"no picture was found: nothing for a {self.learner} to learn from")
        if root.exists():
            raise OutputError(f"{root} is there already: choose another folder or remove it")
        frames = np.stack(squares)
        summary: dict[str, Any] = {
            "schema": self.schema,
            "digest": _digest(index, frames),
            "attribution": list(attribution),
        }
        part = root.with_name(root.name + ".part")
        with writing(root, "free some space or choose another"):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            np.save(part / FRAMES_NAME, frames)
            (part / self.index_name).write_text(index)
            (part / self.summary_name).write_text(json.dumps(summary, indent=2) + "\n")
            part.rename(root)


def _digest(index: str, squares: Pixels) -> str:
    found = hashlib.sha256(index.encode())
    found.update(np.ascontiguousarray(squares).data)
    return found.hexdigest()
