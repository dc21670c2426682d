"""One network for all by averaging weights: cheap to make, and usually bad for these members.

A uniform soup (Wortsman et al. 2022, arXiv 2203.05482) works for fine-tuned copies of one network.
Members trained from random starts of their own lie in different basins, and their mean lies in
none. What of that is only the statistics of batch normalisation, whose variance collapses when
unaligned channels are averaged, is mended by measuring them anew on training frames (Jordan et al.
2023, arXiv 2211.08403); the rest is not. So every soup is measured, and its card says the result.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.judgement import check_fits, check_unseen, judge, salt_of
from neurosono.engine.members import load_member
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network
from neurosono.training.fit.batches import in_order, read_frames
from neurosono.training.sizes.derivation import Derivation, find_trained, name_patients, seen_by

FRAMES = 1024
"""Training frames that statistics are measured on: at 224 px even those of the deepest layer, 7 x 7
places a frame, then stand on 50,000 values a channel."""

BATCH = 64
"""Frames a batch; the cumulative mean over batches makes the statistics nearly those of all."""

GOOD_POINTS = 5.0
"""A soup that is further below the ensemble than this on its own training frames is called bad."""


@dataclass(frozen=True)
class Tasting:
    """How a soup does beside the ensemble of all members, as shares of frames judged rightly."""

    of: str
    frames: int
    soup: float
    ensemble: float

    @property
    def is_bad(self) -> bool:
        """Whether it should not be used."""
        return (self.ensemble - self.soup) * 100 > GOOD_POINTS

    def describe(self) -> str:
        """Return the sentence for the model card."""
        verdict = (
            "It is bad: do not use it." if self.is_bad else "Compare it on unseen patients first."
        )
        return (
            f"A weight average of the members; of {self.frames} frames of "
            f"{self.of} it judges {self.soup:.1%} rightly, the ensemble {self.ensemble:.1%}. "
            f"{verdict}"
        )


def average(networks: Sequence[Network]) -> Network:
    """Return a network whose weights and statistics are the mean of these, of one width."""
    if len({network.width for network in networks}) != 1:
        widths = sorted({network.width for network in networks})
        raise InputError(
            f"members of widths {widths} have no mean: distil them into a student instead"
        )
    states = [network.state_dict() for network in networks]
    mean = {name: _mean([state[name] for state in states]) for name in states[0]}
    soup = copy.deepcopy(networks[0])
    soup.load_state_dict(mean)
    return soup.eval()


def _mean(values: Sequence[Tensor]) -> Tensor:
    # The one integer of a batch norm counts the batches it has seen: a count stays one.
    if not values[0].is_floating_point():
        return torch.stack(list(values)).amax(0)
    return torch.stack([each.double() for each in values]).mean(0).to(values[0].dtype)


def remeasure_norms(network: Network, cache: Cache, rows: Integers) -> None:
    """Replace the running statistics of every batch norm by those of `rows` of a cache."""
    device = next(network.parameters()).device
    ensemble = Ensemble([network], cache.spec).to(device)

    def pictures() -> Iterator[Tensor]:
        for some in in_order(rows, BATCH):
            if len(some) > 1:
                yield ensemble.normalise(read_frames(cache, some).to(device))

    update_bn(pictures(), network)
    network.eval()


def draw_frames(rows: Integers, count: int = FRAMES, seed: int = 0) -> Integers:
    """Return up to `count` of these row numbers, at random and each once."""
    return np.random.default_rng([seed, 4]).permutation(rows)[:count]


def cook_greedily(
    networks: Sequence[Network],
    held_out: Cache,
    training: Cache | None,
    rows: Integers,
) -> tuple[list[int], float]:
    """Add members to the soup, the best first, while its accuracy on `held_out` does not fall.

    The greedy soup of Wortsman et al., recipe 1: never worse than the best member on these frames.
    Statistics are measured anew at each try where there is a `training` cache. Returns the members'
    numbers and the accuracy.
    """
    alone = [_measure([network], held_out, None) for network in networks]
    order = sorted(range(len(networks)), key=lambda number: -alone[number])
    taken, best = [order[0]], alone[order[0]]
    for number in order[1:]:
        tried = _cook([networks[n] for n in (*taken, number)], training, rows)
        accuracy = _measure([tried], held_out, None)
        if accuracy >= best:
            taken, best = [*taken, number], accuracy
    return taken, best


def _cook(networks: Sequence[Network], cache: Cache | None, rows: Integers) -> Network:
    """Average, then measure the norms anew where there are frames; one member stays as it is."""
    if len(networks) == 1:
        return copy.deepcopy(networks[0])
    soup = average(networks)
    if cache is not None:
        remeasure_norms(soup, cache, rows)
    return soup


def _measure(networks: Sequence[Network], cache: Cache, rows: Integers | None) -> float:
    """Return the share of frames that the mean of these networks judges rightly."""
    rows = np.arange(len(cache.rows), dtype=np.int64) if rows is None else np.sort(rows)
    backend = TorchBackend(Ensemble(networks, cache.spec))
    found = judge(backend, cache, rows, fold=-1, salt="")
    return float((found.probabilities.argmax(1) == found.targets).mean())


def make_soup(
    derivation: Derivation,
    training: Cache | None = None,
    held_out: Cache | None = None,
    frames: int = FRAMES,
) -> dict[str, Any]:
    """Average the members into one, write the bundle, return what was found.

    `training`, a cache of the patients that the members were trained on, measures the norms anew;
    `held_out`, of patients that trained nothing, makes the soup greedy, and counts as seen then.
    """
    parent = derivation.parent
    if held_out is not None:
        check_fits(parent, held_out)
        check_unseen(held_out, salt_of(parent), sorted(seen_by(parent)))
    rows = np.empty(0, np.int64)
    if training is not None:
        rows = draw_frames(training.rows_of(find_trained(parent, training)), frames)
    derivation.open()
    networks = [load_member(parent, member) for member in parent.manifest.members]
    names = [member.name for member in parent.manifest.members]
    taken = list(range(len(networks)))
    seen: frozenset[str] = frozenset()
    details: dict[str, Any] = {"kind": "uniform", "norms_measured_on": len(rows)}
    if held_out is not None:
        taken, accuracy = cook_greedily(networks, held_out, training, rows)
        seen = name_patients(parent, held_out.label_of_patient)
        details |= {"kind": "greedy", "patients": len(seen), "selection_accuracy": accuracy}
    soup = _cook([networks[n] for n in taken], training, rows)
    details["members"] = [names[n] for n in taken]
    tasting = _taste(soup, networks, training, held_out, rows)
    limit = (
        "A weight average of the members, which was never measured: where they share no start, "
        "expect nothing of it."
    )
    if tasting is not None:
        details["tasting"] = vars(tasting) | {"is_bad": tasting.is_bad}
        limit = tasting.describe()
    derivation.finish((derivation.save_member(soup),), details, limit, seen=seen)
    return details | {"limit": limit}


def _taste(
    soup: Network,
    networks: Sequence[Network],
    training: Cache | None,
    held_out: Cache | None,
    rows: Integers,
) -> Tasting | None:
    if held_out is not None:
        of, cache, judged = "the patients that selected it", held_out, np.arange(len(held_out.rows))
    elif training is not None:
        of, cache, judged = "its training patients", training, rows
    else:
        return None
    return Tasting(
        of, len(judged), _measure([soup], cache, judged), _measure(networks, cache, judged)
    )
