"""An earlier run whose weights and found heads another one begins with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import STRUCTURES
from neurosono.training.fit.checkpoint import UNREADABLE


@dataclass(frozen=True)
class Earlier:
    """Averaged weights, the heads found for closer looks by their rows, and where they are from.

    `labels` are what its boxes are of, `digest` is the SHA-256 of the checkpoint, `data` that of
    what it was trained on.
    """

    weights: dict[str, Tensor]
    heads: dict[int, Ellipse]
    held_out: int | None
    data: str
    labels: tuple[str, ...]
    digest: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a checkpoint; raises `InputError` where it is none."""
        try:
            state = torch.load(path, "cpu", weights_only=True)
            heads = {row: Ellipse(*values) for row, values in state["heads"].items()}
            held_out, data = state["recipe"]["held_out"], str(state["data"])
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            labels = tuple(state.get("labels", STRUCTURES))
            return cls(state["average"], heads, held_out, data, labels, digest)
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

    def weights_for(self, ours: dict[str, Tensor], labels: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the weights that a network with the state `ours` takes over, by their names.

        Where it tells more labels apart than these, behind them, those of the new ones are its own.
        """
        found = {}
        for name, theirs in self.weights.items():
            if name not in ours:
                continue
            own = ours[name]
            if own.shape == theirs.shape:
                found[name] = theirs
            elif own.shape[1:] == theirs.shape[1:] and self._grew(own, theirs, labels):
                first, added = len(self.labels), len(labels) - len(self.labels)
                found[name] = torch.cat(
                    [theirs[:first], own[first : first + added], theirs[first:]]
                )
        return found

    def _grew(self, own: Tensor, theirs: Tensor, labels: tuple[str, ...]) -> bool:
        more = len(labels) - len(self.labels)
        begins = labels[: len(self.labels)] == self.labels
        return begins and own.shape[0] - theirs.shape[0] == more
