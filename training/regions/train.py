"""Fits the regions' network on pairs; every random choice follows from the recipe's seed."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.regions.names import PLANES
from neurosono.engine.regions.view import A_PLANE
from neurosono.training.fit.schedule import warm_cosine
from neurosono.training.fit.steps import make_optimiser, set_rate
from neurosono.training.regions.data import Pair, PairData
from neurosono.training.regions.draw import Given, draw_other, draw_pair, judge_pair
from neurosono.training.regions.network import RegionsNetwork
from neurosono.training.regions.recipe import BOTH, PairRecipe

Watch = Callable[[int, float], None]


def fit(
    data: PairData,
    pairs: Sequence[Pair],
    recipe: PairRecipe,
    watch: Watch = lambda *_: None,
) -> RegionsNetwork:
    """Return a network that learnt from `pairs`; raises `InputError`, `RunError`."""
    kinds = [[each for each in pairs if each.abnormal is kind] for kind in (False, True)]
    if not all(kinds):
        raise InputError(
            f"there must be normal and abnormal pairs to learn from, found {len(kinds[0])} and "
            f"{len(kinds[1])}: prepare more"
        )
    torch.manual_seed(recipe.seed)
    network = RegionsNetwork().train()
    optimiser = make_optimiser(network, recipe.learning_rate, recipe.weight_decay)
    for step in range(recipe.steps):
        part = (step + 1) / recipe.steps
        set_rate(optimiser, warm_cosine(recipe.learning_rate, part, recipe.warmup, least=0.01))
        rng = np.random.default_rng([recipe.seed, 41, step])
        dealt = [kinds[k % 2][int(rng.integers(len(kinds[k % 2])))] for k in range(recipe.batch)]
        given = [draw_pair(data, each, recipe, rng) for each in dealt]
        lean = speak(network, given)[0].sum(1)
        wanted = torch.tensor([float(bool(each.abnormal)) for each in dealt])
        loss = functional.binary_cross_entropy_with_logits(lean, wanted)
        if recipe.arm == BOTH:
            loss = loss + _measure_planes(network, data, dealt, given, recipe, rng)
        if not math.isfinite(loss.item()):
            raise RunError(f"the loss is no number in step {step + 1}: lower the learning rate")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        watch(step + 1, loss.item())
    return network.eval()


def speak(network: RegionsNetwork, given: Sequence[Given]) -> tuple[Tensor, Tensor]:
    """Return what each region of each woman, or picture, speaks for, and its likeness: (B, R)."""
    crops = torch.from_numpy(np.stack([each[0] for each in given]))  # (B, R, S, S)
    context = torch.from_numpy(np.stack([each[1] for each in given]))
    count, regions = crops.shape[:2]
    spoken, likeness, _ = network.explain(crops.flatten(0, 1)[:, None], context.flatten(0, 1))
    return spoken.view(count, regions), likeness.view(count, regions)


def _measure_planes(
    network: RegionsNetwork,
    data: PairData,
    dealt: Sequence[Pair],
    given: Sequence[Given],
    recipe: PairRecipe,
    rng: np.random.Generator,
) -> Tensor:
    """Return how badly planes are told: those of pairs, and as many pictures that are of another.

    Both are seen in one batch, so that they are normalised alike.
    """
    # normal and abnormal pairs alternate: each plane must be met with either
    planes = [PLANES[k // 2 % 2] for k in range(len(dealt))]
    shown: list[Given] = []
    for plane, pair in zip(planes, given, strict=True):
        at = slice(A_PLANE * PLANES.index(plane), A_PLANE * (PLANES.index(plane) + 1))
        shown.append((pair[0][at], pair[1][at]))
    shown += [
        draw_other(data, pair, plane, recipe, rng)
        for plane, pair in zip(planes, dealt, strict=True)
    ]
    likeness = speak(network, shown)[1].sum(1)
    wanted = torch.cat([torch.ones(len(dealt)), torch.zeros(len(dealt))])
    return functional.binary_cross_entropy_with_logits(likeness, wanted)


@torch.inference_mode()
def judge(
    network: RegionsNetwork, data: PairData, pairs: Sequence[Pair], recipe: PairRecipe
) -> list[Floats | None]:
    """Return of each pair what its regions speak for, (R,); None where an exam would wait."""
    found: list[Floats | None] = []
    for pair in pairs:
        given = judge_pair(data, pair, recipe)
        lean = None if given is None else speak(network, [given])[0][0].double().numpy()
        found.append(lean)
    return found


def save_weights(network: RegionsNetwork, path: Path) -> None:
    """Write a network's weights."""
    save_file({name: each.contiguous() for name, each in network.state_dict().items()}, path)


def load_weights(path: Path) -> RegionsNetwork:
    """Return the network of these weights; raises `InputError`."""
    network = RegionsNetwork()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{path} holds no weights of the regions' network ({type(error).__name__}): make them "
            "with `neurosono train regions run`"
        ) from error
    return network.eval()
