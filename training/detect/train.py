"""Fits the detector; a killed run goes on from its last checkpoint, picture for picture."""

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import HEAD_PLANES, PLANES
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.deck import Deck
from neurosono.training.detect.earlier import Earlier
from neurosono.training.detect.feed import Feed
from neurosono.training.detect.heads import find_heads, find_seen
from neurosono.training.detect.losses import measure_losses, weigh
from neurosono.training.detect.network import Detector
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.rows import Labelled, Marks
from neurosono.training.detect.targets import Targets
from neurosono.training.fit.checkpoint import UNREADABLE
from neurosono.training.fit.schedule import warm_cosine
from neurosono.training.fit.steps import Average, make_optimiser, set_rate
from neurosono.training.squares import PHANTOM

STATE_NAME = "state.pt"
Watch = Callable[[int, dict[str, float]], None]


@dataclass
class History:
    """The mean of each loss since the last checkpoint, a line a checkpoint."""

    lines: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Lesson:
    """What a part of a batch teaches: the slope of each parameter, and each loss."""

    slopes: tuple[Tensor, ...]
    losses: dict[str, float]


class DetectTrainer:
    """One training; deterministic for a number of parts.

    Every view follows from the recipe's seed and the step, so a checkpoint needs no random state.
    A batch is learnt from in `parts` side by side, a thread each: they meet once a step, where
    threads that share a layer wait for each other in every layer on a busy machine.
    """

    def __init__(
        self,
        data: DetectData,
        recipe: DetectRecipe,
        device: str = "cpu",
        workers: int = 0,
        parts: int = 1,
    ) -> None:
        if recipe.look_px > data.size_px:
            raise InputError(
                f"looks of {recipe.look_px} px are larger than the data's squares of {data.size_px}"
            )
        self.data, self.recipe = data, recipe
        self._workers = workers
        self.deck = Deck(data, data.choose(recipe.held_out, held_out=False))
        self._device = torch.device(device)
        torch.manual_seed(recipe.seed)
        network = Detector(recipe.look_px, data.labels)
        self.network = network.to(self._device).to(memory_format=torch.channels_last)
        self.average = Average(self.network, recipe.average)
        self._copies = [self.network, *(_share(self.network) for _ in range(parts - 1))]
        self._pool = ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,))
        self.history = History()
        self.heads: dict[int, Ellipse] = {}
        self.marks: dict[int, Marks] = {}
        self.done = 0
        self._optimiser = make_optimiser(self.network, recipe.learning_rate, recipe.weight_decay)

    def fit(self, until: int | None = None, watch: Watch = lambda *_: None) -> None:
        """Train up to step `until`, the end by default; raises `RunError` where it diverges."""
        self.network.train()
        recipe, end = self.recipe, min(until or self.recipe.steps, self.recipe.steps)
        if recipe.begun_from and not self.done:
            self.marks = find_seen(self.averaged(), self.data, self.deck.rows, recipe.look_px)
        while self.done < end:
            closer = self.done >= recipe.closer_from
            if closer and not self.heads:
                self.heads = find_heads(self.averaged(), self.data, self.deck.rows, recipe.look_px)
            stop = end if closer else min(end, recipe.closer_from)
            known = self.heads, self.marks
            feeding = Feed.opened(self.data, self.deck, recipe, self._workers, *known)
            with feeding as feed:
                self._fit(feed, stop, watch)

    def _fit(self, feed: Feed, end: int, watch: Watch) -> None:
        for at in range(self.done, end):
            part = (at + 1) / self.recipe.steps
            rate = warm_cosine(self.recipe.learning_rate, part, self.recipe.warmup, least=0.01)
            set_rate(self._optimiser, rate)
            losses = self._step(at, *feed.take(at))
            if not all(math.isfinite(loss) for loss in losses.values()):
                raise RunError(
                    f"the loss is no number in step {at + 1}: lower the learning rate and go on "
                    "from the last checkpoint"
                )
            self.average.add(at)
            self.done = at + 1
            watch(self.done, losses)

    def averaged(self) -> Detector:
        """Return a network with the averaged weights, ready to judge, on the CPU."""
        network = Detector(self.recipe.look_px, self.data.labels)
        network.load_state_dict({name: value.cpu() for name, value in self.average.weights.items()})
        last = network.planes[-1]
        assert isinstance(last, torch.nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.bias.add_(self._balance())
        return network.eval()

    def _balance(self) -> Tensor:
        """Return what to add to planes' logits so that a head's count as they come, by a root.

        Trans-ventricular pictures are those that carry marks, so they are dealt more often than the
        women who taught have them. The root lies half-way between that and counting alike.
        """
        dealt = self.deck.count_planes(self.data)
        shares = {name: dealt[name] for name in HEAD_PLANES if dealt.get(name)}
        come = Counter(
            row.plane
            for row in map(self.data.rows.__getitem__, self.deck.rows)
            if row.source != PHANTOM
        )
        roots = {name: math.sqrt(come[name]) for name in shares}
        whole = sum(shares.values()) / max(sum(roots.values()), 1e-9)
        added = [
            math.log(whole * roots[name] / shares[name]) if name in shares else 0.0
            for name in PLANES
        ]
        return torch.tensor(added)

    def _look(self, network: Detector, at: int, views: Pixels, targets: list[Targets]) -> Lesson:
        network.seed(self.recipe.seed * 1_000_003 + at)  # what is left out follows from the step
        grey = torch.from_numpy(views).unsqueeze(1).to(self._device).float()
        grey = grey.contiguous(memory_format=torch.channels_last)
        # The cache of narrowed weights is one for all threads, each of which empties it at its end.
        half = torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False)
        with half if _has_bfloat16(self._device) else nullcontext():
            raw = network.look(grey)
        losses = measure_losses(raw, targets)
        slopes = torch.autograd.grad(weigh(losses), list(network.parameters()))
        return Lesson(slopes, {name: float(loss.detach()) for name, loss in losses.items()})

    def _step(self, at: int, views: Pixels, targets: list[Targets]) -> dict[str, float]:
        """Learn from a batch, its parts side by side; each normalises by its own pictures."""
        cuts = np.linspace(0, len(targets), len(self._copies) + 1).astype(int)
        parts = [slice(first, last) for first, last in pairwise(cuts)]

        def look(network: Detector, part: slice) -> Lesson:
            return self._look(network, at, views[part], targets[part])

        side_by_side = self._pool.map if len(parts) > 1 else map
        lessons = list(side_by_side(look, self._copies, parts))
        parameters = list(self.network.parameters())
        for parameter, *slopes in zip(parameters, *(each.slopes for each in lessons), strict=True):
            parameter.grad = torch.stack(slopes).mean(0)
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
        self._optimiser.step()
        losses = [each.losses for each in lessons]
        return {name: float(np.mean([each[name] for each in losses])) for name in losses[0]}

    def begin_with(self, earlier: Earlier) -> None:
        """Take over an earlier run's averaged weights, where they fit.

        Of the same data, the heads that it found, too.
        """
        ours = self.network.state_dict()
        fitting = earlier.weights_for(ours, self.data.labels)
        self.network.load_state_dict({**ours, **fitting})
        self.average = Average(self.network, self.recipe.average)
        if earlier.data == self.data.digest:
            self.heads = earlier.heads

    def save(self, path: Path) -> None:
        """Write the whole state aside, then rename it."""
        state = {
            "recipe": self.recipe.to_json(),
            "data": self.data.digest,
            "labels": list(self.data.labels),
            "done": self.done,
            "network": self.network.state_dict(),
            "average": self.average.weights,
            "optimiser": self._optimiser.state_dict(),
            "history": self.history.lines,
            "heads": {row: list(asdict(head).values()) for row, head in self.heads.items()},
            "marks": {
                row: [[each.label, *asdict(each.box).values()] for each in marks]
                for row, marks in self.marks.items()
            },
        }
        aside = path.with_suffix(".part")
        torch.save(state, aside)
        aside.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises `InputError` where data or recipe are others."""
        try:
            state: dict[str, Any] = torch.load(path, self._device, weights_only=True)
            same = state["recipe"] == self.recipe.to_json() and state["data"] == self.data.digest
        except UNREADABLE as error:
            raise InputError(
                f"{path} is no checkpoint ({error}): remove it to begin anew"
            ) from error
        if not same:
            raise InputError(
                f"{path} was trained on other data or by another recipe: choose another folder, or "
                "remove it to begin anew"
            )
        self.network.load_state_dict(state["network"])
        self.average.weights = state["average"]
        self._optimiser.load_state_dict(state["optimiser"])
        self.history.lines = state["history"]
        self.heads = {row: Ellipse(*values) for row, values in state["heads"].items()}
        self.marks = {
            row: tuple(Labelled(name, RotatedBox(*box)) for name, *box in marks)
            for row, marks in state.get("marks", {}).items()
        }
        self.done = int(state["done"])


def _share(network: Detector) -> Detector:
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
