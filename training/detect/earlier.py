"""An earlier run whose weights and found heads another one begins with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.training.fit.checkpoint import UNREADABLE


@dataclass(frozen=True)
class Earlier:
    """Averaged weights, the heads found for closer looks by their rows, and where they are from.

    `digest` is the SHA-256 of the checkpoint, `data` that of what it was trained on.
    """

    weights: dict[str, Tensor]
    heads: dict[int, Ellipse]
    held_out: int | None
    data: str
    digest: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a checkpoint; raises `InputError` where it is none."""
        try:
            state = torch.load(path, "cpu", weights_only=True)
            heads = {row: Ellipse(*values) for row, values in state["heads"].items()}
            held_out, data = state["recipe"]["held_out"], str(state["data"])
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            return cls(state["average"], heads, held_out, data, digest)
        except UNREADABLE as error:
            raise InputError(
                f"{path} is no checkpoint to begin with ({error}): name another run"
            ) from error

    def check(self, held_out: int | None) -> None:
        """Raise `InputError` where these weights have seen whom the new run would hold out.

        A patient's fold is the same in all data.
        """
        if held_out is not None and self.held_out != held_out:
            raise InputError(
                f"the run to begin with held out fold {self.held_out}, this one fold {held_out}: "
                "it has seen patients on whom this one is judged; begin without it"
            )
