"""What every training of ours does alike in its steps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.network import Ensemble
from neurosono.training.fit.batches import shuffle
from neurosono.training.fit.schedule import Schedule
from neurosono.training.recipe import Recipe

AUTOCAST = {"bf16": torch.bfloat16, "f16": torch.float16}
"""What the convolutions of a mixed precision are computed in; weights and sums stay float32."""


def find_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_optimiser(network: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW; norms and biases are not decayed, as is usual: their scale is no capacity.

    On a GPU one kernel updates many arrays: `network` must be there already.
    """
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    on_gpu = next(network.parameters()).is_cuda
    return torch.optim.AdamW(groups, lr=rate, fused=True if on_gpu else None)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step go by another learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights as they are now, on the CPU."""
    return {
        name: value.detach().contiguous().to("cpu", copy=True)
        for name, value in network.state_dict().items()
    }


def judge(ensemble: Ensemble, network: nn.Module, grey: Tensor, precision: str) -> Tensor:
    """(B, 1, S, S) levels -> (B, C) float32 logits of `network`, normalised as the ensemble is."""
    x = ensemble.normalise(grey).contiguous(memory_format=torch.channels_last)
    mixed = AUTOCAST.get(precision)
    with torch.autocast(x.device.type, mixed, enabled=mixed is not None):
        logits: Tensor = network(x)
    return logits.float()


@dataclass(frozen=True)
class Epoch:
    """One pass over the training frames: every random choice in it follows from its key."""

    batches: list[Integers]
    rates: list[float]
    generator: torch.Generator

    @classmethod
    def of(cls, recipe: Recipe, rows: Integers, key: list[int]) -> "Epoch":
        """Plan the epoch whose number ends `key`."""
        batches = shuffle(rows, recipe.batch, key)
        seed = int(np.random.default_rng([*key, 1]).integers(2**62))
        schedule = Schedule(
            recipe.learning_rate,
            recipe.epochs * len(batches),
            round(recipe.warmup_epochs * len(batches)),
            recipe.final_rate_ratio,
        )
        rates = [schedule.rate(key[-1] * len(batches) + at) for at in range(len(batches))]
        return cls(batches, rates, torch.Generator().manual_seed(seed))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Integers, float]]:
        return iter(zip(self.batches, self.rates, strict=True))


class Pending:
    """A number that the GPU may still be working on; on a CPU it is there at once.

    Asking for it waits until it is there, not for what the GPU was given after it.
    """

    def __init__(self, value: Tensor) -> None:
        """Let `value`, of one element, follow to the CPU."""
        self._value = value
        self._there: torch.cuda.Event | None = None
        if value.is_cuda:
            self._value = torch.empty_like(value, device="cpu", pin_memory=True)
            self._value.copy_(value, non_blocking=True)
            self._there = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._there.record()

    def read(self) -> float:
        """Wait for the number and return it."""
        if self._there is not None:
            self._there.synchronize()
        return float(self._value)


class Average:
    """Weights averaged over the last steps, more slowly the further training is."""

    def __init__(self, network: nn.Module, most: float) -> None:
        """Begin with the network's own; `most` is how much of the average a late step keeps."""
        self.weights = {name: value.clone() for name, value in network.state_dict().items()}
        self._network, self._most = network, most

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Add the network's weights after `step`, counted from 0."""
        keep = min(self._most, (1 + step) / (10 + step))
        theirs = self._network.state_dict()
        moving = [name for name, value in theirs.items() if value.is_floating_point()]
        ours = [self.weights[name] for name in moving]
        torch._foreach_mul_(ours, keep)  # on a GPU a few kernels, not hundreds
        torch._foreach_add_(ours, [theirs[name] for name in moving], alpha=1 - keep)
        counted = list(theirs.keys() - set(moving))
        torch._foreach_copy_([self.weights[k] for k in counted], [theirs[k] for k in counted])
