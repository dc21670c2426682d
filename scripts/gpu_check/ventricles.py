"""Ventriculomegaly by several networks: one member, one pace, each in a worker.

The step `pretraining` says in which order, and what comes of it.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.contracts.architecture import (
    RESNET34,
    RESNET50,
    TRANSFORMERS,
    VGG19,
    VIT_S,
    VIT_TI,
)
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import judge
from neurosono.engine.network import Ensemble
from neurosono.scripts.gpu_check.record import Clock
from neurosono.training.fit.checkpoint import MemberState, save_state
from neurosono.training.fit.member import MemberTrainer, make_member
from neurosono.training.fit.steps import find_device
from neurosono.training.fit.weights import Start, read_start
from neurosono.training.pretrain.run import WEIGHTS_NAME
from neurosono.training.recipe import Recipe, load_recipe
from neurosono.training.run import find_planes
from neurosono.training.splits import Fold, make_folds

TRAIN, TEST, ATLAS, NORMALS, POOL = "train", "test", "within-atlas", "normals", "pool"
FOLDERS = (TRAIN, TEST, ATLAS, NORMALS, POOL)
"""What the step reads: four frame caches, and the gate's data or another cache to pretrain on."""

NEEDED = (TRAIN, TEST, POOL)


@dataclass(frozen=True)
class Net:
    """A network of the table; `start` is the transformer whose pretraining it starts from."""

    name: str
    architecture: str
    rate: float
    width: float = 1.0
    start: str = ""

    def recipe(self, epochs: int, batch: int, folds: int) -> Recipe:
        """Return how its members are trained: as the shipped recipe, but for size and pace."""
        transformer = self.architecture in TRANSFORMERS
        return replace(
            load_recipe("ventricles-vit" if transformer else "ventricles"),
            architecture=self.architecture,
            width=self.width,
            weights=f"{self.start}.safetensors" if self.start else "random",
            learning_rate=self.rate,
            folds=folds,
            epochs=epochs,
            full_size_epochs=max(1, epochs // 2),
            warmup_epochs=max(1.0, epochs / 10),
            patience=epochs,
            batch=batch,
        )


NETS = (
    Net("resnet34", RESNET34, 1e-3),
    Net("vit-s", VIT_S, 5e-4),
    Net("vit-s-pretrained", VIT_S, 5e-4, start=VIT_S),
    Net("vgg19", VGG19, 5e-4),
    Net("vgg19-small", VGG19, 2e-3, 0.125),
    Net("vit-ti", VIT_TI, 1e-3),
    Net("vit-ti-pretrained", VIT_TI, 1e-3, start=VIT_TI),
    Net("resnet50", RESNET50, 1e-3),
    Net("resnet34-small", RESNET34, 2e-3, 0.25),
)
"""The table's rows, the most telling first; the small ones are small enough to ship."""

SHIPPED = {"vgg19-small": 5, "resnet34-small": 1}
"""How many members come back of networks that are small enough to ship: 12 MB in all."""

OF_ATLAS = ("resnet34", "vit-s", "vit-s-pretrained", "vgg19")
"""Trained on the atlas's pictures too, which are few: that takes seconds."""


@dataclass(frozen=True)
class Plan:
    """What every worker is told: where the data are, until when, and how large all is."""

    root: Path
    clock: Clock
    batch: int = 128
    folds: int = 5
    pretrain_batch: int = 512
    width: float = 1.0
    """Of the full networks, and of the transformers that are pretrained."""
    pace_steps: tuple[int, int] = (8, 30)
    """Steps that are left out of a pace, for a GPU's first ones are slow, and steps in all."""
    atlas_epochs: int = 40
    """For 66 pictures, 16 at a time."""

    def net(self, name: str) -> Net:
        """Return a network by its name."""
        found = next(net for net in NETS if net.name == name)
        return replace(found, width=self.width) if found.width == 1 else found

    def cache(self, name: str) -> Cache:
        """Return one of the frame caches, checked once a process."""
        return _load(self.root / name)

    def there(self, name: str) -> bool:
        """Whether such data were given."""
        return (self.root / name).is_dir()

    def start_path(self, architecture: str) -> Path:
        """Return where a pretraining leaves its encoder."""
        return self.root / f"start-{architecture}" / WEIGHTS_NAME

    def state_path(self, net: str, fold: int) -> Path:
        """Return where a finished member's state goes: as `neurosono train` has it."""
        return self.root / f"{net}.part" / f"state-{fold:02d}.pt"

    def deal(self, cache: Cache, recipe: Recipe) -> list[Fold]:
        """Return the folds, which are the same for every network."""
        return make_folds(cache.label_of_patient, cache.labels, recipe, find_planes(cache))


@once
def _load(path: Path) -> Cache:
    return Cache.load(path)


def use_one_thread() -> None:
    """Prepare a worker: the others have the other cores."""
    torch.set_num_threads(1)


def pace(plan: Plan, name: str) -> float:
    """Return the seconds of one step of a network."""
    data, net = plan.cache(TRAIN), plan.net(name)
    recipe = net.recipe(1000, plan.batch, plan.folds)
    steps = _train(plan, data, net, recipe, plan.deal(data, recipe)[0], MemberState())
    left_out, wanted = plan.pace_steps
    ends = [time.monotonic() for _ in itertools.islice(steps, wanted)]
    return (ends[-1] - ends[left_out - 1]) / (wanted - left_out)


def train_member(plan: Plan, name: str, fold: int, epochs: int) -> dict[str, Any]:
    """Train a network on one fold; return what it says of all who are judged, and keep it."""
    data, net = plan.cache(TRAIN), plan.net(name)
    recipe = net.recipe(epochs, plan.batch, plan.folds)
    folds = plan.deal(data, recipe)
    begun_s = time.monotonic()
    state, say = _fit(plan, data, net, recipe, folds[fold])
    took_s = time.monotonic() - begun_s
    if fold < SHIPPED.get(name, 0):
        path = plan.state_path(name, fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_state(state, path)
    said = {TRAIN: say(data, data.rows_of(folds[fold].judged))}
    for other in (TEST, ATLAS, NORMALS):
        if plan.there(other):
            cache = plan.cache(other)
            said[other] = say(cache, np.arange(len(cache.rows), dtype=np.int64))
    best = state.history[state.best_epoch]
    return {
        "said": said,
        "fold": fold,
        "epoch": state.best_epoch + 1,
        "validation_accuracy": best["validation_accuracy"],
        "losses": [round(record["loss"], 4) for record in state.history],
        "seconds": round(took_s, 2),
        "weights": sum(value.numel() for value in state.best.values()),
    }


def train_on_atlas(plan: Plan, name: str) -> Predictions:
    """Train a network on the atlas's own folds; return what it says of the held-out cases."""
    data, net = plan.cache(ATLAS), plan.net(name)
    recipe = net.recipe(plan.atlas_epochs, 16, plan.folds)
    parts = []
    for fold in plan.deal(data, recipe):
        _, say = _fit(plan, data, net, recipe, fold)
        parts.append(say(data, data.rows_of(fold.judged)))
    return Predictions.join(parts)


def _train(
    plan: Plan, data: Cache, net: Net, recipe: Recipe, fold: Fold, state: MemberState
) -> Iterator[object]:
    """Train a member from what its network starts from, as long as there is time."""
    start: Start = {}
    if net.start:
        weights = str(plan.start_path(net.start))
        start = read_start(replace(recipe, weights=weights), data.spec.size_px)
    for step in MemberTrainer(data, fold, fold.index, recipe, start).steps(state):
        plan.clock.check()
        yield step


def _fit(
    plan: Plan, data: Cache, net: Net, recipe: Recipe, fold: Fold
) -> tuple[MemberState, Callable[[Cache, Any], Predictions]]:
    """Train a member to its end; return its state, and what judges rows of a cache with it."""
    state = MemberState()
    for _ in _train(plan, data, net, recipe, fold, state):
        pass
    member = make_member(recipe, data)
    member.load_state_dict(state.best)
    backend = TorchBackend(Ensemble([member], data.spec), find_device().type)

    def say(cache: Cache, rows: Any) -> Predictions:
        plan.clock.check()
        return judge(backend, cache, rows, fold=fold.index, salt=data.digest)

    return state, say
