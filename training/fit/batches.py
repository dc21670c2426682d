"""The order in which frames are seen, and how they leave the cache."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.cache import Cache

HELD_SHARE = 0.25
"""Of the free memory of a GPU, what a cache may take: several members train beside each other."""


def class_weights(targets: Integers, classes: int) -> Tensor:
    """Return `(classes,)` float32, w_c = N / (C n_c) (Qi et al. 2025); each n_c must be above 0."""
    counts = np.bincount(targets, minlength=classes)
    return torch.tensor(len(targets) / (classes * counts), dtype=torch.float32)


def shuffle(rows: Integers, batch: int, key: list[int]) -> list[Integers]:
    """Cut `rows` into batches, in an order that follows from `key`.

    A last batch of one frame is left out: batch normalisation cannot learn from it.
    """
    order = np.random.default_rng(key).permutation(rows)
    batches = [order[at : at + batch] for at in range(0, len(order), batch)]
    return [each for each in batches if len(each) > 1]


def read_frames(cache: Cache, rows: Integers) -> Tensor:
    """Return `(B, 1, S, S)` uint8."""
    return torch.from_numpy(np.asarray(cache.frames[rows])).unsqueeze(1)


class Shelf:
    """A cache's frames and classes, handed out on a device.

    On a GPU they are put there once, where they take no more than `HELD_SHARE` of what is free; a
    batch then costs its row numbers. Nothing here waits for the GPU.
    """

    def __init__(self, cache: Cache, device: torch.device) -> None:
        """Put the frames of `cache` on `device` where that pays."""
        self._cache, self._device = cache, device
        self._targets = torch.from_numpy(cache.targets).to(device)
        self._held: Tensor | None = None
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
            if cache.frames.nbytes <= HELD_SHARE * free:
                self._held = torch.from_numpy(np.array(cache.frames)).to(device)

    def read(self, rows: Integers) -> tuple[Tensor, Tensor]:
        """Return frames, `(B, 1, S, S)` uint8, and classes, `(B,)` int64, on the device."""
        at = torch.from_numpy(rows).to(self._device, non_blocking=True)
        if self._held is not None:
            return self._held[at].unsqueeze(1), self._targets[at]
        frames = read_frames(self._cache, rows).to(self._device, non_blocking=True)
        return frames, self._targets[at]


def in_order(rows: Integers, batch: int) -> Iterator[Integers]:
    """Cut `rows` into batches without shuffling."""
    for at in range(0, len(rows), batch):
        yield rows[at : at + batch]
