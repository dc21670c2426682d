"""What a batch, or a part of one, teaches a network."""

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurosono.training.detect.aims import Aims
from neurosono.training.detect.losses import measure_losses, weigh
from neurosono.training.detect.network import Detector


@dataclass(frozen=True)
class Lesson:
    """The slope of each parameter, and each loss, still on the network's device."""

    slopes: tuple[Tensor, ...]
    losses: dict[str, Tensor]


def learn_from(network: Detector, grey: Tensor, aims: Aims, seed: int) -> Lesson:
    """Return what views (B, 1, L, L) of levels 0 to 255 teach; what is left out follows `seed`."""
    network.seed(seed)
    grey = grey.contiguous(memory_format=torch.channels_last)
    # The cache of narrowed weights is one for all threads, each of which empties it at its end.
    half = torch.autocast(grey.device.type, torch.bfloat16, cache_enabled=False)
    with half if _has_bfloat16(grey.device) else nullcontext():
        raw = network.look(grey)
    losses = measure_losses(raw, aims)
    slopes = torch.autograd.grad(weigh(losses), list(network.parameters()))
    return Lesson(slopes, {name: loss.detach() for name, loss in losses.items()})


def share(network: Detector) -> Detector:
    """Return a network of the same parameters whose batch statistics are its own."""
    copy = deepcopy(network)
    for ours, theirs in zip(network.modules(), copy.modules(), strict=True):
        theirs._parameters = ours._parameters
    return copy


def _has_bfloat16(device: torch.device) -> bool:
    """Return whether half-width numbers are quick there: on old CPUs they are slower."""
    if device.type != "cpu":
        return True
    found: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(found())
