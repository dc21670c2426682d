"""How a GPU goes through an ensemble's members for one picture.

`sequence`: one after the other, as written. `branches`: each on a stream of its own, so that a
captured graph has as many branches; a ResNet34's bias, sum and ReLU are in cuDNN's convolutions.
`grouped`: a layer of all members is one of cuDNN's convolutions in groups. `kernels`: it is one
kernel of ours (`member_kernels`). All give the members' answers, but for rounding.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.network import Ensemble, answer
from neurosono.engine.networks.merged import GroupedConvolutions, Make, MergedResNet34
from neurosono.engine.networks.resnet import ResNet34

Answers = tuple[Tensor, Tensor, Tensor]
Way = Callable[[Tensor], Answers]
"""(1, 1, S, S) uint8 -> as `Ensemble.forward` returns."""

WAYS = ("kernels", "branches", "grouped", "sequence")
"""By preference."""

STREAMS = 16
"""Branches of a graph at most; torch has 32 streams in all, and gives them out again in turns."""


class Side:
    """A second stream beside the current one; on a CPU, nothing."""

    def __init__(self, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]

    @contextmanager
    def fork(self) -> Iterator[None]:
        """Queue what follows beside the current stream, after what that has queued so far."""
        if self.stream is None:
            yield
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            yield

    def join(self) -> None:
        """Let the current stream wait for what was forked off; a capture ends joined or fails."""
        if self.stream is not None:
            torch.cuda.current_stream().wait_stream(self.stream)


def make_way(name: str, ensemble: Ensemble) -> Way:
    """Return a way through `ensemble`, whose batch norms are folded, where it is.

    Raises `EngineUnavailableError` where these members have no such way.
    """
    if name == "sequence":
        return ensemble
    if name == "branches":
        return _branch(ensemble)
    members = [each for each in ensemble.members if isinstance(each, ResNet34)]
    if len(members) < len(ensemble.members):
        raise EngineUnavailableError(f"only ResNet34's members have the way {name!r}")
    if name == "grouped":
        return _merge(ensemble, members, GroupedConvolutions)
    if name == "kernels":
        return _merge(ensemble, members, _choose_kernels(ensemble))
    raise EngineUnavailableError(f"no way {name!r} through the members: choose one of {WAYS}")


def _choose_kernels(ensemble: Ensemble) -> Make:
    first = next(ensemble.members.parameters())
    if importlib.util.find_spec("triton") is None:
        raise EngineUnavailableError("the members' own kernels need triton")
    from neurosono.engine.backends.member_kernels import LEAST_CHANNELS, KernelConvolutions

    if first.dtype == torch.float32:
        raise EngineUnavailableError("the members' own kernels compute in half precision")
    if first.shape[0] % LEAST_CHANNELS:
        raise EngineUnavailableError(
            f"the members' own kernels take {LEAST_CHANNELS} channels or multiples of it"
        )
    return partial(KernelConvolutions, tiles={})


def _merge(ensemble: Ensemble, members: Sequence[ResNet34], make: Make) -> Way:
    merged = MergedResNet34(members, make)
    side = Side(ensemble.mean.device)
    normalise = _normalising(ensemble)

    def run(grey: Tensor) -> Answers:
        # what is kept of the first stages is read beside the next ones; `noticed` holds on to all
        # that the side has made or reads until it is joined
        noticed: list[Tensor] = []
        kept: list[Tensor] = []
        for number, maps in enumerate(merged.follow(normalise(grey))):
            kept.append(maps)
            if number < len(merged.stages) - 1:
                with side.fork():
                    noticed += merged.notice(number, maps)
        side.join()
        return merged.conclude(kept[-1], noticed)

    return run


def _branch(ensemble: Ensemble) -> Way:
    networks: list[Callable[[Tensor], Answers]] = [
        MergedResNet34([member], GroupedConvolutions)
        if isinstance(member, ResNet34)
        else partial(answer, member)
        for member in ensemble.members
    ]
    count = min(len(networks), STREAMS) if len(networks) > 1 else 0
    sides = [Side(ensemble.mean.device) for _ in range(count)]
    normalise = _normalising(ensemble)

    def run(grey: Tensor) -> Answers:
        x = normalise(grey)
        answers: list[Answers] = [networks[0](x)] if not sides else []
        for number, network in enumerate(networks if sides else ()):
            with sides[number % len(sides)].fork():
                answers.append(network(x))
        for side in sides:
            side.join()
        first, second, third = (torch.cat(each, 1) for each in zip(*answers, strict=True))
        return first, second, third

    return run


def _normalising(ensemble: Ensemble) -> Callable[[Tensor], Tensor]:
    """Return `Ensemble.normalise` that holds none of the members' weights."""
    dtype = next(ensemble.members.parameters()).dtype
    mean, std = ensemble.mean, ensemble.std

    def normalise(grey: Tensor) -> Tensor:
        x = ((grey.to(mean.dtype) - mean) / std).to(dtype)
        return x.contiguous(memory_format=torch.channels_last)

    return normalise
