"""One member: fitted to its training patients, its best epoch chosen by its validation patients."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.contracts.cache import Cache
from engine.contracts.errors import InputError, RunError
from engine.network import Ensemble, ResNet34
from training.augmentation import augment, shrink
from training.batches import class_weights, in_order, read_frames, shuffle
from training.checkpoint import MemberState, load_state, save_state
from training.recipe import IMAGENET_WEIGHTS, RANDOM_WEIGHTS, Recipe
from training.schedule import Schedule
from training.splits import Fold


@dataclass(frozen=True)
class Step:
    """Where a run is, for whoever watches it; `validation` is set at the end of an epoch."""

    member: int
    epoch: int
    step: int
    steps: int
    loss: float
    validation: float | None = None


Watch = Callable[[Step], None]


class MemberTrainer:
    """Trains member number `number` of a cache on `fold`; deterministic for a thread count."""

    def __init__(self, cache: Cache, fold: Fold, number: int, recipe: Recipe) -> None:
        self._cache, self._number, self._recipe = cache, number, recipe
        self._train = cache.rows_of(fold.train)
        self._validation = cache.rows_of(fold.validation)
        torch.manual_seed(recipe.seed * 1000 + number)
        member = ResNet34(len(cache.labels), recipe.width)
        _start_from(member, recipe)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        ensemble = Ensemble([member], cache.spec).to(self._device)
        self._ensemble = ensemble.to(memory_format=torch.channels_last)
        self._member = member
        decayed = [p for p in member.parameters() if p.ndim > 1]
        plain = [p for p in member.parameters() if p.ndim <= 1]
        # Norms and biases are not decayed, as is usual for AdamW: their scale is no capacity.
        self._optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
        )
        weights = class_weights(cache.targets[self._train], len(cache.labels))
        self._class_weights = weights.to(self._device)

    def fit(self, state_path: Path, watch: Watch) -> MemberState:
        """Train to the end, from `state_path` on if it is there, and return the finished state."""
        state = load_state(state_path)
        if state.finished:
            return state
        if state.weights:
            self._member.load_state_dict(state.weights)
            self._optimiser.load_state_dict(state.optimiser)
        for epoch in range(state.epochs_done, self._recipe.epochs):
            loss = self._train_epoch(epoch, watch)
            self._validate_epoch(epoch, loss, state, watch)
            waited = epoch - state.best_epoch
            state.finished = bool(
                (epoch == self._recipe.epochs - 1)
                or (state.best and waited >= self._recipe.patience)
            )
            save_state(state, state_path)
            if state.finished:
                break
        return state

    def _train_epoch(self, epoch: int, watch: Watch) -> float:
        recipe = self._recipe
        key = [recipe.seed, 2, self._number, epoch]
        batches = shuffle(self._train, recipe.batch, key)
        seed = int(np.random.default_rng([*key, 1]).integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        schedule = Schedule(
            recipe.learning_rate,
            recipe.epochs * len(batches),
            round(recipe.warmup_epochs * len(batches)),
            recipe.final_rate_ratio,
        )
        self._member.train()
        total = 0.0
        for at, rows in enumerate(batches):
            for group in self._optimiser.param_groups:
                group["lr"] = schedule.rate(epoch * len(batches) + at)
            loss = self._step(rows, epoch, generator)
            if not math.isfinite(loss):
                raise self._describe_bad_loss(rows, epoch, at)
            total += loss
            watch(Step(self._number, epoch, at + 1, len(batches), loss))
        return total / len(batches)

    def _step(self, rows: NDArray[np.int64], epoch: int, generator: torch.Generator) -> float:
        size_px = self._recipe.size_at(epoch, self._cache.spec.size_px)
        grey = shrink(read_frames(self._cache, rows), size_px)
        grey = augment(grey, self._recipe, generator).to(self._device)  # (B, 1, size, size)
        target = torch.from_numpy(self._cache.targets[rows]).to(self._device)
        loss = functional.cross_entropy(
            self._judge(grey),
            target,
            self._class_weights,
            label_smoothing=self._recipe.label_smoothing,
        )
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach())

    def _judge(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) float32 -> (B, C) float32 logits."""
        x = self._ensemble.normalise(grey).contiguous(memory_format=torch.channels_last)
        bf16 = self._recipe.precision == "bf16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
            logits: Tensor = self._member(x)
        return logits.float()

    def _validate_epoch(self, epoch: int, loss: float, state: MemberState, watch: Watch) -> None:
        size_px = self._recipe.size_at(epoch, self._cache.spec.size_px)
        accuracy, validation_loss = self._validate(size_px)
        full = self._recipe.is_full_size(epoch)
        state.epochs_done = epoch + 1
        state.weights = _copy_weights(self._member)
        state.optimiser = self._optimiser.state_dict()
        state.history.append(
            {
                "epoch": epoch,
                "size_px": size_px,
                "loss": loss,
                "validation_accuracy": accuracy,
                "validation_loss": validation_loss,
            }
        )
        if full and (accuracy, -validation_loss) > tuple(state.best_score):
            state.best_score = (accuracy, -validation_loss)
            state.best, state.best_epoch = _copy_weights(self._member), epoch
        watch(Step(self._number, epoch, 1, 1, loss, validation=accuracy))

    @torch.inference_mode()
    def _validate(self, size_px: int) -> tuple[float, float]:
        """Return accuracy and class-weighted cross-entropy on the validation patients' frames."""
        self._member.eval()
        logits = [
            self._judge(shrink(read_frames(self._cache, rows), size_px).to(self._device)).cpu()
            for rows in in_order(self._validation, self._recipe.batch)
        ]
        found = torch.cat(logits)
        target = torch.from_numpy(self._cache.targets[self._validation])
        loss = functional.cross_entropy(found, target, self._class_weights.cpu())
        return float((found.argmax(1) == target).float().mean()), float(loss)

    def _describe_bad_loss(self, rows: NDArray[np.int64], epoch: int, step: int) -> RunError:
        files = sorted({self._cache.rows[row].path for row in rows})
        named = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
        return RunError(
            f"the loss is no finite number in epoch {epoch + 1}, batch {step + 1} ({named}): "
            "lower learning_rate or use precision f32; the last whole epoch is kept"
        )


def _copy_weights(member: ResNet34) -> dict[str, Tensor]:
    return {
        name: value.detach().cpu().clone().contiguous()
        for name, value in member.state_dict().items()
    }


def _start_from(member: ResNet34, recipe: Recipe) -> None:
    """Load the weights that the recipe starts from, but for the last layer."""
    if recipe.weights == RANDOM_WEIGHTS:
        return
    found = _read_weights(recipe.weights)
    found = {name: value for name, value in found.items() if not name.startswith("fc.")}
    expected = {n: v.shape for n, v in member.state_dict().items() if not n.startswith("fc.")}
    if {name: value.shape for name, value in found.items()} != expected:
        raise InputError(
            f"weights {recipe.weights} do not fit a ResNet34 of width {recipe.width}: "
            'use width 1, or weights = "random"'
        )
    member.load_state_dict(found, strict=False)


def _read_weights(where: str) -> dict[str, Any]:
    if where == IMAGENET_WEIGHTS:
        from torchvision.models import ResNet34_Weights

        try:
            return dict(ResNet34_Weights.IMAGENET1K_V1.get_state_dict(progress=False))
        except OSError as error:
            raise InputError(
                f"the ImageNet weights cannot be fetched ({error}): name a local .safetensors "
                'file as weights, or "random"'
            ) from error
    from safetensors.torch import load_file

    try:
        return dict(load_file(where))
    except (OSError, ValueError) as error:
        raise InputError(f"weights {where} cannot be read as safetensors: {error}") from error
