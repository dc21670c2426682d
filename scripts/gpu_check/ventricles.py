"""Ventriculomegaly by several networks: one pretraining, one member, one pace, each in a worker.

The step `pretraining` says in which order, and what comes of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

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
from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import judge
from neurosono.engine.network import Ensemble
from neurosono.training.fit.checkpoint import MemberState, save_state
from neurosono.training.fit.member import MemberTrainer, make_member
from neurosono.training.fit.weights import Start, read_start
from neurosono.training.pretrain.autoencoder import MaskedAutoencoder
from neurosono.training.pretrain.data import gather
from neurosono.training.pretrain.recipe import PretrainRecipe
from neurosono.training.pretrain.run import STATE_NAME, WEIGHTS_NAME, Pretraining
from neurosono.training.recipe import Recipe, load_recipe
from neurosono.training.run import find_planes
from neurosono.training.splits import Fold, make_folds

TRAIN, TEST, ATLAS, NORMALS, POOL = "train", "test", "within-atlas", "normals", "pool"
FOLDERS = (TRAIN, TEST, ATLAS, NORMALS, POOL)
"""What the step reads: four frame caches, and the gate's data or another cache to pretrain on."""

NEEDED = (TRAIN, TEST, POOL)

APART = "abnormal-head"
"""The source of the atlas's pictures among the gate's data: never pretrained on."""


class OutOfTimeError(NeurosonoError):
    """The step's time is over: what is being trained is given up."""


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
    deadline_s: float
    batch: int = 128
    folds: int = 5
    pretrain_batch: int = 512
    width: float = 1.0
    """Of the full networks, and of the transformers that are pretrained."""
    pace_steps: tuple[int, int] = (8, 30)
    """Steps that are left out of a pace, for a GPU's first ones are slow, and steps in all."""
    atlas_epochs: int = 40
    """For 66 pictures, 16 at a time."""

    def check_time(self) -> None:
        """Raise `OutOfTimeError` when the time (`time.time`) is over."""
        if time.time() > self.deadline_s:
            raise OutOfTimeError("the time is over: give more --seconds")

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


def pretrain(plan: Plan, architecture: str, seconds: float, epochs: int) -> dict[str, Any]:
    """Pretrain a transformer for as many epochs as `seconds` allow, `epochs` at most."""
    apart = [plan.root / name for name in (TRAIN, TEST, NORMALS, ATLAS) if plan.there(name)]
    pool = gather([plan.root / POOL], apart, plan.cache(TRAIN).spec.size_px, _sources(plan))
    recipe = PretrainRecipe(
        architecture=architecture,
        width=plan.width,
        size_px=plan.cache(TRAIN).spec.size_px,
        batch=min(plan.pretrain_batch, max(2, len(pool.places) // 2)),
        learning_rate=5e-4,
        epochs=epochs,
    )
    begun = time.time()
    out = plan.start_path(architecture).parent
    pace = _time_epochs(Pretraining(pool, replace(recipe, epochs=3), out.with_suffix(".pace")))
    allowed = int((seconds - (time.time() - begun)) / pace * 0.85)
    recipe = replace(recipe, epochs=max(5, min(epochs, allowed)))
    losses: list[float] = []
    run = Pretraining(pool, recipe, out)
    given_up = min(plan.deadline_s, begun + seconds * 1.3)

    def watch(_: int, step: int, steps: int, loss: float) -> None:
        if step == steps:
            losses.append(loss)
        if time.time() > given_up:
            raise OutOfTimeError("this pretraining took longer than it was given")

    try:
        run.train(watch)
        whole = True
    except OutOfTimeError:
        _save_unfinished(run, recipe, plan.start_path(architecture))
        whole = False
    took = time.time() - begun
    return {
        "recipe": recipe.to_json(),
        "pictures": len(pool.places),
        "pictures_kept_apart": pool.left_out,
        "patients": len(set(pool.patients)),
        "epochs": len(losses),
        "whole": whole,
        "seconds": round(took, 1),
        "epoch_s": round(pace, 3),
        "pictures_per_s": round(len(pool.places) / pace),
        "last_loss_of_each_epoch": [round(each, 4) for each in losses],
    }


def _sources(plan: Plan) -> list[str]:
    """Return the atlas's source where the pool is the gate's data and has it."""
    from neurosono.training.gate.data import SHELF, GateData

    if not (plan.root / POOL / SHELF.summary_name).is_file():
        return []
    found = GateData.load(plan.root / POOL)
    return [APART] if APART in found.sources else []


def _time_epochs(run: Pretraining) -> float:
    """Return the seconds of the fastest of some epochs after the first."""
    ends: list[float] = []

    def watch(_: int, step: int, steps: int, __: float) -> None:
        if step == steps:
            ends.append(time.time())

    run.train(watch)
    return float(np.diff(ends).min())


def _save_unfinished(run: Pretraining, recipe: PretrainRecipe, path: Path) -> None:
    """Take the encoder of the last saved epoch; raises `OutOfTimeError` where there is none."""
    if not (run.part / STATE_NAME).is_file():
        raise OutOfTimeError("not one epoch of this pretraining was done in time")
    network = MaskedAutoencoder(recipe.architecture, recipe.width, recipe.size_px, recipe.masked)
    state = torch.load(run.part / STATE_NAME, map_location="cpu", weights_only=True)
    network.load_state_dict(state["weights"])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.encoder_state(), path)


def read_net_start(plan: Plan, net: Net, recipe: Recipe, size_px: int) -> Start:
    """Return what a network's members start from; nothing where it starts from scratch."""
    if not net.start:
        return {}
    weights = str(plan.start_path(net.start))
    return read_start(replace(recipe, weights=weights), size_px)


def pace(plan: Plan, name: str) -> float:
    """Return the seconds of one step of a network."""
    data, net = plan.cache(TRAIN), plan.net(name)
    recipe = net.recipe(1000, plan.batch, plan.folds)
    trainer = MemberTrainer(data, plan.deal(data, recipe)[0], 0, recipe, {})
    left_out, wanted = plan.pace_steps
    begun = time.time()
    for number, _ in enumerate(trainer.steps(MemberState())):
        plan.check_time()
        if number + 1 == left_out:
            begun = time.time()
        if number + 1 == wanted:
            break
    return (time.time() - begun) / (wanted - left_out)


def train_member(plan: Plan, name: str, fold: int, epochs: int) -> dict[str, Any]:
    """Train a network on one fold; return what it says of all who are judged, and keep it."""
    data, net = plan.cache(TRAIN), plan.net(name)
    recipe = net.recipe(epochs, plan.batch, plan.folds)
    folds = plan.deal(data, recipe)
    begun = time.time()
    state, member = _fit(plan, data, net, recipe, folds[fold])
    took = time.time() - begun
    if fold < SHIPPED.get(name, 0):
        path = plan.state_path(name, fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_state(state, path)
    say = _speaker(plan, data, member, fold)
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
        "seconds": round(took, 2),
        "weights": sum(value.numel() for value in state.best.values()),
    }


def train_on_atlas(plan: Plan, name: str) -> Predictions:
    """Train a network on the atlas's own folds; return what it says of the held-out cases."""
    data, net = plan.cache(ATLAS), plan.net(name)
    recipe = net.recipe(plan.atlas_epochs, 16, plan.folds)
    parts = []
    for fold in plan.deal(data, recipe):
        _, member = _fit(plan, data, net, recipe, fold)
        parts.append(_speaker(plan, data, member, fold.index)(data, data.rows_of(fold.judged)))
    return Predictions.join(parts)


def _fit(
    plan: Plan, data: Cache, net: Net, recipe: Recipe, fold: Fold
) -> tuple[MemberState, Ensemble]:
    start = read_net_start(plan, net, recipe, data.spec.size_px)
    trainer = MemberTrainer(data, fold, fold.index, recipe, start)
    state = MemberState()
    for _ in trainer.steps(state):
        plan.check_time()
    member = make_member(recipe, data)
    member.load_state_dict(state.best)
    return state, Ensemble([member], data.spec)


def _speaker(
    plan: Plan, data: Cache, member: Ensemble, fold: int
) -> Callable[[Cache, Any], Predictions]:
    """Return what judges rows of a cache, on the GPU where there is one."""
    backend = TorchBackend(member, "cuda" if torch.cuda.is_available() else "cpu")

    def say(cache: Cache, rows: Any) -> Predictions:
        plan.check_time()
        return judge(backend, cache, rows, fold=fold, salt=data.digest)

    return say


def halve_start(plan: Plan, architecture: str, out: Path) -> int:
    """Write a pretrained encoder in half precision; return its bytes."""
    found = load_file(plan.start_path(architecture))
    save_file({name: value.half() for name, value in found.items()}, out)
    return out.stat().st_size
