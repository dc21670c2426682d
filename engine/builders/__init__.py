"""One file an engine that is compiled; `engine.build` compares, keeps and enters what they make."""

from collections.abc import Callable
from dataclasses import dataclass

from neurosono.engine.backends import Inference
from neurosono.engine.contracts.arrays import Pixels


@dataclass(frozen=True)
class Built:
    """What was compiled into a folder: what it was made for, and how its graph judges here."""

    target: dict[str, str]
    infer: Callable[[Pixels], Inference]
    """The engine itself where this host runs it; `target["parity_of"]` says what else."""
