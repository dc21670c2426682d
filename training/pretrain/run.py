"""A pretraining from its first step to the file that members start from; taken up after a kill."""

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from neurosono.engine.bundle import write_json
from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.cache import pseudonym
from neurosono.engine.contracts.errors import InputError, OutputError, RunError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.files import writing
from neurosono.engine.network import Ensemble
from neurosono.training.fit.augmentation import augment
from neurosono.training.fit.batches import shuffle
from neurosono.training.fit.checkpoint import UNREADABLE, write_state
from neurosono.training.fit.schedule import Schedule
from neurosono.training.fit.steps import AUTOCAST, make_optimiser, set_rate
from neurosono.training.pretrain.autoencoder import MaskedAutoencoder
from neurosono.training.pretrain.data import Pictures, Pool
from neurosono.training.pretrain.recipe import PretrainRecipe

WEIGHTS_NAME = "weights.safetensors"
ABOUT_NAME = "pretraining.json"
STATE_NAME = "state.pt"

TOGETHER = {"cpu": 1, "cuda": 32}
"""Losses that are asked for at once: waiting for each leaves a GPU idle between two steps."""

SAVING_SHARE = 0.1
"""Of the time that saving may take: a large network's state takes longer than an epoch on a GPU."""

Watch = Callable[[int, int, int, float], None]
"""Hears epoch, step, steps of an epoch, and loss; from a GPU, of some steps at a time."""


@dataclass(frozen=True)
class Pretraining:
    """What is learnt from which pictures, and the folder that it is written to, made at the end."""

    pool: Pool
    recipe: PretrainRecipe
    out: Path

    @property
    def part(self) -> Path:
        """Return the folder in which it grows."""
        return self.out.with_name(self.out.name + ".part")

    def train(self, watch: Watch) -> dict[str, Any]:
        """Train to the end, from the last saved epoch on; return what stands beside the weights.

        Raises `OutputError` where the folder is there or cannot be written, `InputError` where it
        was begun with another recipe or other pictures, `RunError` on a loss that is no number.
        """
        if self.out.exists():
            raise OutputError(f"{self.out} is there already: choose another --out or remove it")
        with writing(self.part):
            self.part.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.recipe.seed)
        trainer = _Trainer(self.pool, self.recipe)
        history = trainer.take_up(self._load())
        next_save = 0.0
        for epoch in range(len(history), self.recipe.epochs):
            history.append(trainer.train_epoch(epoch, watch))
            if (begun := time.monotonic()) >= next_save:
                self._save(trainer.state(history))
                saved = time.monotonic()
                next_save = saved + (saved - begun) * (1 / SAVING_SHARE - 1)
        return self._finish(trainer.network, history)

    def _about(self) -> dict[str, Any]:
        return {"recipe": self.recipe.to_json(), "data": self.pool.digest}

    def _save(self, state: dict[str, Any]) -> None:
        packed = io.BytesIO()
        torch.save(state | {"about": self._about()}, packed)
        write_state(packed.getvalue(), self.part / STATE_NAME)

    def _load(self) -> dict[str, Any]:
        path = self.part / STATE_NAME
        if not path.exists():
            return {}
        try:
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            raise InputError(f"{path} cannot be resumed from ({error}): remove it") from error
        if found["about"] != self._about():
            raise InputError(
                f"{self.part} was begun with another recipe or other pictures: give the same ones "
                "to take it up again, or remove it to begin anew"
            )
        return found

    def _finish(self, network: MaskedAutoencoder, history: list[float]) -> dict[str, Any]:
        patients = sorted({pseudonym(name, self.pool.digest) for name in self.pool.patients})
        said = {
            "notice": NOTICE,
            **self._about(),
            "pictures": len(self.pool.places),
            "pictures_kept_apart": self.pool.left_out,
            "patients": len(patients),
            "patients_seen": patients,
            "losses": history,
        }
        with writing(self.out):
            save_file(network.encoder_state(), self.part / WEIGHTS_NAME)
            write_json(self.part / ABOUT_NAME, said)
            (self.part / STATE_NAME).unlink(missing_ok=True)
            self.part.replace(self.out)
        return said


class _Trainer:
    """Network and optimiser; every random choice follows from the recipe's seed and the epoch."""

    def __init__(self, pool: Pool, recipe: PretrainRecipe) -> None:
        self._recipe = recipe
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._together = TOGETHER[self._device.type]
        self.network = MaskedAutoencoder(
            recipe.architecture, recipe.width, recipe.size_px, recipe.masked
        )
        spec = PreprocessingSpec(size_px=recipe.size_px, resize_px=recipe.size_px)
        self._ensemble = Ensemble([self.network], spec).to(self._device)
        self._optimiser = make_optimiser(self.network, recipe.highest_rate, recipe.weight_decay)
        self._rows = np.arange(len(pool.places))
        self._pictures = Pictures(pool, recipe.size_px, self._device)

    def take_up(self, state: dict[str, Any]) -> list[float]:
        """Go on from a saved state; return the losses of the epochs that are done."""
        if not state:
            return []
        self.network.load_state_dict(state["weights"])
        self._optimiser.load_state_dict(state["optimiser"])
        return list(state["history"])

    def state(self, history: list[float]) -> dict[str, Any]:
        """Return what `take_up` needs."""
        return {
            "weights": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "history": history,
        }

    def train_epoch(self, epoch: int, watch: Watch) -> float:
        """See every picture once; return the mean loss."""
        recipe = self._recipe
        batches = shuffle(self._rows, recipe.batch, [recipe.seed, 5, epoch])
        schedule = Schedule(
            recipe.highest_rate,
            recipe.epochs * len(batches),
            max(1, round(recipe.warmup * recipe.epochs * len(batches))),
            1e-3,
        )
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
        self.network.train()
        total, told = 0.0, 0
        pending: list[Tensor] = []
        for at, rows in enumerate(batches):
            set_rate(self._optimiser, schedule.rate(epoch * len(batches) + at))
            pending.append(self._step(rows, generator))
            if at + 1 < len(batches) and len(pending) < self._together:
                continue
            for loss in torch.stack(pending).tolist():
                told += 1
                if not math.isfinite(loss):
                    raise RunError(
                        f"the loss is no finite number in epoch {epoch + 1}, batch {told}: lower "
                        "the learning rate; the last saved epoch is kept"
                    )
                total += loss
                watch(epoch, told, len(batches), loss)
            pending.clear()
        return total / len(batches)

    def _step(self, rows: Integers, generator: torch.Generator) -> Tensor:
        grey = self._pictures.take(rows)
        grey = augment(grey, self._recipe.views, generator)
        mixed = AUTOCAST.get(self._recipe.precision)
        with torch.autocast(self._device.type, mixed, enabled=mixed is not None):
            loss = self.network.loss(grey, self._ensemble.normalise(grey), generator)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.clip_norm)
        self._optimiser.step()
        return loss.detach()
