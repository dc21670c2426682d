"""The order in which frames are seen, and how they leave the cache."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.cache import Cache


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


def in_order(rows: Integers, batch: int) -> Iterator[Integers]:
    """Cut `rows` into batches without shuffling."""
    for at in range(0, len(rows), batch):
        yield rows[at : at + batch]
