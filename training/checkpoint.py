"""What a killed run is taken up again from: a member's whole state after each epoch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.contracts.errors import InputError, OutputError


@dataclass
class MemberState:
    """How far one member has come.

    `best` holds the weights of the best full-size epoch, empty before the first; `best_score` is
    its validation accuracy and negated loss. No random state is kept: every random choice follows
    from the recipe's seed, the member and the epoch.
    """

    epochs_done: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    best_score: tuple[float, float] = (-1.0, 0.0)
    history: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False


def save_state(state: MemberState, path: Path) -> None:
    """Write a state aside, then rename it; raises `OutputError` where the disk is full."""
    aside = path.with_suffix(".part")
    try:
        torch.save(vars(state), aside)
        aside.replace(path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error}; free some space, then give the same command again"
        ) from error


def load_state(path: Path) -> MemberState:
    """Read a state, or a fresh one where there is none; raises `InputError` if it is not ours."""
    if not path.exists():
        return MemberState()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return MemberState(**found)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be resumed from ({error}): remove it") from error
