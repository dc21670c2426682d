"""Fits the detector; a killed run goes on from its last checkpoint, picture for picture."""

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from neurosono.training.detect.aims import Aims
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.deck import Deck
from neurosono.training.detect.earlier import Earlier
from neurosono.training.detect.feed import Feed
from neurosono.training.detect.heads import find_heads, find_seen
from neurosono.training.detect.lesson import Lesson, learn_from, share
from neurosono.training.detect.network import Detector
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.resident import ResidentFeed
from neurosono.training.detect.rows import Labelled, Marks
from neurosono.training.detect.targets import Targets
from neurosono.training.fit.checkpoint import UNREADABLE
from neurosono.training.fit.schedule import warm_cosine
from neurosono.training.fit.steps import Average, make_optimiser, set_rate
from neurosono.training.squares import PHANTOM

STATE_NAME = "state.pt"
Watch = Callable[[int, dict[str, float]], None]
Pace = Callable[[int], float]
TOLD_STEPS = 50
"""A GPU tells its losses every so many steps."""


@dataclass
class History:
    """The mean of each loss since the last checkpoint, a line a checkpoint."""

    lines: list[dict[str, float]] = field(default_factory=list)


class DetectTrainer:
    """One training; deterministic for a number of parts.

    Every view follows from the recipe's seed and the step, so a checkpoint needs no random state.
    A batch is learnt from in `parts` side by side, a thread each: they meet once a step, where
    threads that share a layer wait for each other in every layer on a busy machine.

    On a GPU, and where the recipe's rate follows the clock, views are drawn on the device itself
    (`resident`): then two runs differ.
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
        self._copies = [self.network, *(share(self.network) for _ in range(parts - 1))]
        self._pool = ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,))
        self.history = History()
        self.heads: dict[int, Ellipse] = {}
        self.marks: dict[int, Marks] = {}
        self.done = 0
        self.part = 0.0
        """How much of the training is done."""
        self.resident = self._device.type != "cpu" or recipe.seconds > 0
        self._resident: ResidentFeed | None = None
        torch.backends.cudnn.benchmark |= self._device.type == "cuda"
        self._optimiser = make_optimiser(self.network, recipe.learning_rate, recipe.weight_decay)

    def fit(
        self,
        until: int | None = None,
        watch: Watch = lambda *_: None,
        pace: Pace | None = None,
    ) -> None:
        """Train up to step `until`, the end by default; raises `RunError` where it diverges.

        `pace` says how much of the training is done after a step; by default as the recipe's
        pictures have it.
        """
        self.network.train()
        recipe, end = self.recipe, min(until or self.recipe.steps, self.recipe.steps)
        if recipe.begun_from and not self.done and not self.marks:
            self.marks = find_seen(self.averaged(), self.data, self.deck.rows, recipe.look_px)
        while self.done < end and self.part < 1:
            closer = self.done >= recipe.closer_from
            if self.resident:
                closer = self.part >= recipe.glance
            if closer and not self.heads:
                self.heads = find_heads(self.averaged(), self.data, self.deck.rows, recipe.look_px)
            known = self.heads, self.marks
            if self.resident:
                self._fit_resident(closer, end, watch, pace)
                continue
            stop = end if closer else min(end, recipe.closer_from)
            feeding = Feed.opened(self.data, self.deck, recipe, self._workers, *known)
            with feeding as feed:
                for at in range(self.done, stop):
                    self._set_pace(at, pace)
                    losses = self._step(at, *feed.take(at))
                    self._finish(at, losses, watch)

    def _fit_resident(self, closer: bool, end: int, watch: Watch, pace: Pace | None) -> None:
        """Go on to `end`, or until closer looks begin."""
        recipe = self.recipe
        if self._resident is None:
            known = self.heads, self.marks
            self._resident = ResidentFeed(self.data, self.deck, recipe, *known, self._device)
            self._resident.generator.manual_seed(recipe.seed * 1_000_003 + self.done)
        for at in range(self.done, end):
            self._set_pace(at, pace)
            if self.part >= recipe.glance and not closer:
                self._resident = None
                return
            seed = recipe.seed * 1_000_003 + at
            lesson = learn_from(self.network, *self._resident.take(closer), seed)
            self._apply([lesson])
            told = {}
            if self.part >= 1 or at + 1 == end or not at % TOLD_STEPS:  # it makes a GPU wait
                told = {name: float(loss) for name, loss in lesson.losses.items()}
            self._finish(at, told, watch)
            if self.part >= 1:
                return

    def _set_pace(self, at: int, pace: Pace | None) -> None:
        self.part = pace(at) if pace else (at + 1) / self.recipe.steps
        rate = warm_cosine(self.recipe.learning_rate, self.part, self.recipe.warmup, least=0.01)
        set_rate(self._optimiser, rate)

    def _finish(self, at: int, losses: dict[str, float], watch: Watch) -> None:
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise RunError(
                f"the loss is no number in step {at + 1}: lower the learning rate and go on "
                "from the last checkpoint"
            )
        self.average.add(at)
        self.done = at + 1
        if losses:
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

    def _step(self, at: int, views: Pixels, targets: list[Targets]) -> dict[str, float]:
        """Learn from a batch, its parts side by side; each normalises by its own pictures."""
        cuts = np.linspace(0, len(targets), len(self._copies) + 1).astype(int)
        parts = [slice(first, last) for first, last in pairwise(cuts)]
        seed = self.recipe.seed * 1_000_003 + at  # what is left out follows from the step

        def learn(network: Detector, part: slice) -> Lesson:
            grey = torch.from_numpy(views[part]).unsqueeze(1).to(self._device).float()
            return learn_from(network, grey, Aims.stacked(targets[part], self._device), seed)

        side_by_side = self._pool.map if len(parts) > 1 else map
        lessons = list(side_by_side(learn, self._copies, parts))
        self._apply(lessons)
        losses = [{name: float(loss) for name, loss in each.losses.items()} for each in lessons]
        return {name: float(np.mean([each[name] for each in losses])) for name in losses[0]}

    def _apply(self, lessons: list[Lesson]) -> None:
        """Take a step along the mean of what the parts of a batch teach."""
        parameters = list(self.network.parameters())
        for parameter, *slopes in zip(parameters, *(each.slopes for each in lessons), strict=True):
            slope = torch.stack(slopes).mean(0) if len(slopes) > 1 else slopes[0]
            if slope.stride() != parameter.stride():  # as one kernel for all asks
                slope = torch.empty_like(parameter).copy_(slope)
            parameter.grad = slope
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
        self._optimiser.step()

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
            "part": self.part,
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
            same = (
                DetectRecipe(**state["recipe"]) == self.recipe and state["data"] == self.data.digest
            )
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
        self.part = float(state.get("part", self.done / self.recipe.steps))
