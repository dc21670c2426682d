"""One member: fitted to its training patients, its best epoch chosen by its validation patients."""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import EngineUnavailableError, RunError
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network, make_network
from neurosono.training.fit.augmentation import augment, shrink
from neurosono.training.fit.batches import Shelf, class_weights, in_order
from neurosono.training.fit.checkpoint import MemberState, load_state, save_state
from neurosono.training.fit.steps import (
    Epoch,
    Pending,
    copy_weights,
    find_device,
    judge,
    make_optimiser,
    set_rate,
)
from neurosono.training.fit.weights import Start, read_start
from neurosono.training.recipe import PAPER, Recipe
from neurosono.training.splits import Fold


@dataclass(frozen=True)
class Step:
    """Where a run is, for whoever watches it; `validation` is set at the end of an epoch.

    `loss` is the step's, and at the end of an epoch its mean; `rate` the learning rate. `restarts`
    counts the dead workers after which this member was taken up again.
    """

    member: int
    epoch: int
    step: int
    steps: int
    loss: float
    rate: float
    validation: float | None = None
    restarts: int = 0


Watch = Callable[[Step], None]


def make_member(recipe: Recipe, cache: Cache) -> Network:
    """Return an untrained member for a cache's classes and pictures."""
    classes, size_px = len(cache.labels), cache.spec.size_px
    return make_network(recipe.architecture, classes, recipe.width, size_px)


class MemberTrainer:
    """Trains member number `number` of a cache on `fold`; deterministic for a thread count."""

    def __init__(
        self, cache: Cache, fold: Fold, number: int, recipe: Recipe, start: Start | None = None
    ) -> None:
        """Prepare a member; `start` are the weights that `read_start` gives, read anew if None."""
        self._cache, self._number, self._recipe = cache, number, recipe
        self._train = cache.rows_of(fold.train)
        self._held_out = cache.rows_of(fold.held_out)
        paper = recipe.selection == PAPER
        self._validation = self._held_out if paper else cache.rows_of(fold.validation)
        torch.manual_seed(recipe.seed * 1000 + number)
        member = make_member(recipe, cache)
        own = read_start(recipe, cache.spec.size_px) if start is None else start
        member.load_state_dict(own, strict=False)
        self._device = _choose_device(recipe)
        ensemble = Ensemble([member], cache.spec).to(self._device)
        self._ensemble = ensemble.to(memory_format=torch.channels_last)
        self._shelf = Shelf(cache, self._device)
        self._member = member
        self._optimiser = make_optimiser(member, recipe.learning_rate, recipe.weight_decay)
        # Small gradients vanish in float16: the loss is scaled up for them, and they down again.
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=recipe.precision == "f16")
        weights = class_weights(cache.targets[self._train], len(cache.labels))
        self._class_weights = weights.to(self._device)

    def fit(self, state_path: Path, watch: Watch, save_every_s: float = 0.0) -> MemberState:
        """Train to the end, from `state_path` on if it is there, and return the finished state.

        An epoch's state is kept where the one before is `save_every_s` old, and the last always.
        """
        state, saved_s = load_state(state_path), time.monotonic()
        for step in self.steps(state):
            due = state.finished or time.monotonic() - saved_s >= save_every_s
            if step.validation is not None and due:
                save_state(state, state_path)
                saved_s = time.monotonic()
            watch(step)
        return state

    def steps(self, state: MemberState) -> Iterator[Step]:
        """Train from `state` on; it is up to date whenever a step with a validation is told."""
        if state.weights:
            self._member.load_state_dict(state.weights)
            self._optimiser.load_state_dict(state.optimiser)
            self._scaler.load_state_dict(state.scaler)
        while not state.finished:
            step = yield from self._train_epoch(state.epochs_done)
            yield self._close_epoch(step, state)

    def _train_epoch(self, epoch: int) -> Generator[Step, None, Step]:
        """Tell every step of an epoch; return the last one, with the epoch's mean loss."""
        plan = Epoch.of(self._recipe, self._train, [self._recipe.seed, 2, self._number, epoch])
        self._member.train()
        total = 0.0
        # A GPU is given the next step before it is asked for the loss of this one.
        ahead = 1 if self._device.type == "cuda" else 0
        begun: deque[tuple[int, Integers, float, Pending]] = deque()
        for at, (rows, rate) in enumerate(plan):
            set_rate(self._optimiser, rate)
            begun.append((at, rows, rate, self._step(rows, epoch, plan.generator)))
            while len(begun) > (ahead if at + 1 < len(plan) else 0):
                done, seen, its_rate, found = begun.popleft()
                loss = found.read()
                if not math.isfinite(loss):
                    raise self._describe_bad_loss(seen, epoch, done)
                total += loss
                step = Step(self._number, epoch, done + 1, len(plan), loss, its_rate)
                yield step
        if not all(value.isfinite().all() for value in self._member.state_dict().values()):
            raise self._describe_bad_loss(rows, epoch, at)  # its last update: save none of it
        return replace(step, loss=total / len(plan))

    def _step(self, rows: Integers, epoch: int, generator: torch.Generator) -> Pending:
        size_px = self._recipe.size_at(epoch, self._cache.spec.size_px)
        frames, target = self._shelf.read(rows)
        grey = augment(shrink(frames, size_px), self._recipe, generator)  # (B, 1, size, size)
        loss = functional.cross_entropy(
            self._judge(grey),
            target,
            self._class_weights,
            label_smoothing=self._recipe.label_smoothing,
        )
        self._optimiser.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return Pending(loss.detach())

    def _judge(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) float32 -> (B, C) float32 logits."""
        return judge(self._ensemble, self._member, grey, self._recipe.precision)

    def _close_epoch(self, step: Step, state: MemberState) -> Step:
        """Validate an epoch's weights, bring `state` up to date, and return what to tell of it."""
        epoch, recipe = step.epoch, self._recipe
        size_px = recipe.size_at(epoch, self._cache.spec.size_px)
        accuracy, validation_loss = self._validate(self._validation, size_px)
        record = {
            "epoch": epoch,
            "size_px": size_px,
            "rate": step.rate,
            "loss": step.loss,
            "validation_accuracy": accuracy,
            "validation_loss": validation_loss,
        }
        weights = copy_weights(self._member)
        if recipe.is_full_size(epoch):
            # As published, only a higher accuracy counts; inner selection breaks ties by the loss.
            score = (accuracy, 0.0 if recipe.selection == PAPER else -validation_loss)
            if score > tuple(state.best_score):
                state.best, state.best_epoch, state.best_score = weights, epoch, score
            record |= self._follow_paper(epoch, size_px, weights, state)
        state.history.append(record)
        state.epochs_done = epoch + 1
        waited = bool(state.best) and epoch - state.best_epoch >= recipe.patience
        state.finished = epoch == recipe.epochs - 1 or waited
        state.weights = {} if state.finished else weights
        state.optimiser = {} if state.finished else self._optimiser.state_dict()
        state.scaler = {} if state.finished else self._scaler.state_dict()
        return replace(step, validation=accuracy)

    def _follow_paper(
        self, epoch: int, size_px: int, weights: dict[str, Tensor], state: MemberState
    ) -> dict[str, float]:
        """Keep what the paper's protocol would choose, as long as it would still be training."""
        stopped = state.paper_epoch >= 0 and epoch - state.paper_epoch > self._recipe.patience
        if stopped or not self._recipe.measures_optimism:
            return {}
        accuracy, _ = self._validate(self._held_out, size_px)
        if accuracy > state.paper_score:
            state.paper, state.paper_epoch, state.paper_score = weights, epoch, accuracy
        return {"held_out_accuracy": accuracy}

    @torch.inference_mode()
    def _validate(self, rows: Integers, size_px: int) -> tuple[float, float]:
        """Return accuracy and class-weighted cross-entropy on these frames."""
        self._member.eval()
        logits = [
            self._judge(shrink(self._shelf.read(some)[0], size_px))
            for some in in_order(rows, self._recipe.batch)
        ]
        found = torch.cat(logits).cpu()
        target = torch.from_numpy(self._cache.targets[rows])
        loss = functional.cross_entropy(found, target, self._class_weights.cpu())
        return float((found.argmax(1) == target).float().mean()), float(loss)

    def _describe_bad_loss(self, rows: Integers, epoch: int, step: int) -> RunError:
        files = sorted({self._cache.rows[row].path for row in rows})
        named = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
        return RunError(
            f"the loss or a weight is no finite number in epoch {epoch + 1}, batch {step + 1} "
            f"({named}): lower learning_rate or use precision f32; the last whole epoch is kept"
        )


def _choose_device(recipe: Recipe) -> torch.device:
    """Return the GPU where there is one; its kernels are chosen to give the same sums each time."""
    device = find_device()
    if device.type == "cuda":
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    elif recipe.precision == "f16":
        raise EngineUnavailableError(
            "precision f16 needs a CUDA GPU, and torch finds none: use bf16 or f32"
        )
    return device
