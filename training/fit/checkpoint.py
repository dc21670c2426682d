"""What a killed run is taken up again from: a member's whole state after each epoch."""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurosono.engine.contracts.errors import InputError, OutputError

UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
"""What `torch.load` raises, depending on the bytes, on a file that is not its own."""


@dataclass
class MemberState:
    """How far one member has come.

    `best` holds the weights of the best full-size epoch, empty before the first; `best_score` is
    its validation accuracy and negated loss. `paper`, `paper_epoch` and `paper_score` are of the
    epoch that the held-out patients would have chosen; they choose nothing. A finished member
    keeps no `weights` and no `optimiser`. No random state is kept: every random choice follows from
    the recipe's seed, the member and the epoch.
    """

    epochs_done: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    best_score: tuple[float, float] = (-1.0, 0.0)
    scaler: dict[str, Any] = field(default_factory=dict)
    paper: dict[str, Tensor] = field(default_factory=dict)
    paper_epoch: int = -1
    paper_score: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False


def save_state(state: MemberState, path: Path) -> None:
    """Write a state aside, then rename it; raises `OutputError` where the disk is full."""
    write_state(pack_state(state), path)


def write_state(packed: bytes, path: Path) -> None:
    """Write what `pack_state` made aside, then rename it: the state before stays until then."""
    aside = path.with_suffix(".part")
    try:
        aside.write_bytes(packed)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror}; what was saved before is kept: free some "
            "space, then give the same command again"
        ) from error


def load_state(path: Path) -> MemberState:
    """Read a state, or a fresh one where there is none; raises `InputError` if it is not ours."""
    if not path.exists():
        return MemberState()
    try:
        return unpack_state(path.read_bytes())
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be resumed from ({error}): remove it") from error


def pack_state(state: MemberState) -> bytes:
    """Return a state as the bytes that `save_state` writes."""
    packed = io.BytesIO()
    torch.save(vars(state), packed)
    return packed.getvalue()


def unpack_state(packed: bytes) -> MemberState:
    """Read what `pack_state` made; only tensors and plain values are ever unpickled."""
    return MemberState(**torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True))
