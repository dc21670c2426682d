"""One network for all by distillation: a student learns what the whole ensemble says.

Hinton et al. 2015 (arXiv 1503.02531): cross-entropy to the teacher's softened probabilities, and a
small share to the labels. The student and the ensemble look at the same augmented picture, so that
the student learns the ensemble's function and not a table (Beyer et al. 2022, arXiv 2106.05237).

The teacher's probabilities are raw, not calibrated: calibration was fitted on patients who must
stay unseen, and the student is calibrated on its own afterwards. The teacher always sees the full
size: at half of it the demo's ensemble is right in 11 of 100 frames fewer.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosono.engine.bundle import write_json
from neurosono.engine.contracts.arrays import Integers, Singles
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.files import writing
from neurosono.engine.members import load_ensemble, load_member
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network, make_network
from neurosono.training.fit.augmentation import augment, shrink
from neurosono.training.fit.batches import Shelf, class_weights, in_order
from neurosono.training.fit.checkpoint import MemberState, load_state, save_state
from neurosono.training.fit.steps import (
    Epoch,
    copy_weights,
    find_device,
    judge,
    make_optimiser,
    set_rate,
)
from neurosono.training.fit.weights import read_start
from neurosono.training.recipe import Recipe
from neurosono.training.sizes.derivation import HISTORY_PATH, Derivation, find_trained
from neurosono.training.sizes.lesson import SEED_KEY, Lesson, split_validation
from neurosono.training.sizes.top import rank_by_validation

TEACHER_NAME = "teacher.npy"


@dataclass(frozen=True)
class Progress:
    """Where a student is; `agreement` with the teacher is set at the end of an epoch."""

    epoch: int
    step: int
    steps: int
    loss: float
    agreement: float | None = None


Watch = Callable[[Progress], None]


class StudentTrainer:
    """Teaches `student` what `teacher` says; deterministic for a thread count."""

    def __init__(
        self,
        cache: Cache,
        patients: frozenset[str],
        teacher: Ensemble,
        student: Network,
        recipe: Recipe,
        lesson: Lesson,
    ) -> None:
        """Prepare to teach on the frames of `patients` of `cache`."""
        self._cache, self._recipe, self._lesson = cache, recipe, lesson
        learnt_from, validation = split_validation(cache, patients, recipe)
        self._train, self._validation = cache.rows_of(learnt_from), cache.rows_of(validation)
        if recipe.precision not in ("f32", "bf16"):
            raise InputError(f"a student learns in f32 or bf16, found {recipe.precision!r}")
        self._device = find_device()
        self._shelf = Shelf(cache, self._device)
        self._teacher = teacher.eval().to(self._device).to(memory_format=torch.channels_last)
        self._student = student.to(self._device).to(memory_format=torch.channels_last)
        self._optimiser = make_optimiser(student, recipe.learning_rate, recipe.weight_decay)
        weights = class_weights(cache.targets[self._train], len(cache.labels))
        self._class_weights = weights.to(self._device)
        self._clean: Singles | None = None

    def fit(self, folder: Path, watch: Watch) -> MemberState:
        """Teach to the end, from the state in `folder` on if there is one; return the state."""
        state = load_state(folder / "state-00.pt")
        if state.finished:
            return state
        self._clean = self._read_teacher(folder / TEACHER_NAME)
        if state.weights:
            self._student.load_state_dict(state.weights)
            self._optimiser.load_state_dict(state.optimiser)
        for epoch in range(state.epochs_done, self._recipe.epochs):
            loss = self._teach_epoch(epoch, watch)
            self._validate_epoch(epoch, loss, state, watch)
            waited = epoch - state.best_epoch
            state.finished = bool(
                epoch == self._recipe.epochs - 1 or (state.best and waited >= self._recipe.patience)
            )
            save_state(state, folder / "state-00.pt")
            if state.finished:
                break
        return state

    def _read_teacher(self, path: Path) -> Singles:
        """Return what the teacher says of the clean frames that are asked about, (N, C).

        Of the validation's frames always, of those learnt from in the clean view; the other rows
        are zero. Kept in a file, because a resumed run must not pay for it again.
        """
        if path.exists():
            found: Singles = np.load(path, allow_pickle=False)
            return found
        found = np.zeros((len(self._cache.rows), len(self._cache.labels)), np.float32)
        asked = self._validation
        if self._lesson.view == "clean":
            asked = np.sort(np.concatenate([self._train, self._validation]))
        for rows in in_order(asked, self._recipe.batch):
            grey, _ = self._shelf.read(rows)
            found[rows] = self._ask(grey.float()).cpu().numpy()
        with writing(path, "free some space"):
            with path.with_suffix(".part").open("wb") as file:
                np.save(file, found)
            path.with_suffix(".part").replace(path)
        return found

    def _teach_epoch(self, epoch: int, watch: Watch) -> float:
        plan = Epoch.of(self._recipe, self._train, [self._recipe.seed, SEED_KEY, 1, epoch])
        self._student.train()
        total = 0.0
        for at, (rows, rate) in enumerate(plan):
            set_rate(self._optimiser, rate)
            loss = self._step(rows, epoch, plan.generator)
            if not math.isfinite(loss):
                raise RunError(
                    f"the loss is no finite number in epoch {epoch + 1}, batch {at + 1}: lower "
                    "learning_rate or use precision f32; the last whole epoch is kept"
                )
            total += loss
            watch(Progress(epoch, at + 1, len(plan), loss))
        return total / len(plan)

    def _step(self, rows: Integers, epoch: int, generator: torch.Generator) -> float:
        grey, target = self._shelf.read(rows)
        view = augment(grey.float(), self._recipe, generator)  # (B, 1, S, S)
        if self._lesson.view == "same":
            said = self._ask(view)
        else:
            assert self._clean is not None
            said = torch.from_numpy(self._clean[rows]).to(self._device)
        small = shrink(view, self._recipe.size_at(epoch, self._cache.spec.size_px))
        logits = self._judge(self._student, small)
        loss = self._lesson.lose(logits, said, target, self._class_weights)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def _ask(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) float32 -> (B, C), the mean of the teacher's members' probabilities."""
        said = [self._judge(member, grey).softmax(1) for member in self._teacher.members]
        return torch.stack(said).mean(0)

    def _judge(self, network: torch.nn.Module, grey: Tensor) -> Tensor:
        """(B, 1, S, S) float32 -> (B, C) float32 logits."""
        return judge(self._teacher, network, grey, self._recipe.precision)

    def _validate_epoch(self, epoch: int, loss: float, state: MemberState, watch: Watch) -> None:
        found = self._validate()
        weights = copy_weights(self._student)
        state.epochs_done, state.weights = epoch + 1, weights
        state.optimiser = self._optimiser.state_dict()
        size_px = self._recipe.size_at(epoch, self._cache.spec.size_px)
        state.history.append({"epoch": epoch, "size_px": size_px, "loss": loss, **found})
        score = (found["agreement"], -found["divergence"])
        if self._recipe.is_full_size(epoch) and score > tuple(state.best_score):
            state.best_score, state.best, state.best_epoch = score, weights, epoch
        watch(Progress(epoch, 1, 1, loss, agreement=found["agreement"]))

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Return how near the student is to the teacher, and to the labels, on clean frames.

        `divergence` is the mean KL divergence in nats; the validation patients taught nothing.
        """
        assert self._clean is not None
        self._student.eval()
        logits = torch.cat(
            [
                self._judge(self._student, self._shelf.read(rows)[0].float()).cpu()
                for rows in in_order(self._validation, self._recipe.batch)
            ]
        )
        said = torch.from_numpy(self._clean[self._validation])
        target = torch.from_numpy(self._cache.targets[self._validation])
        divergence = functional.kl_div(logits.log_softmax(1), said, reduction="batchmean")
        return {
            "agreement": float((logits.argmax(1) == said.argmax(1)).float().mean()),
            "divergence": float(divergence),
            "validation_accuracy": float((logits.argmax(1) == target).float().mean()),
            "validation_loss": float(functional.cross_entropy(logits, target)),
        }


def make_student(
    derivation: Derivation, cache: Cache, recipe: Recipe, lesson: Lesson, watch: Watch
) -> dict[str, Any]:
    """Distil the parent into one network of `recipe.width`, write the bundle, say how it went.

    It starts from the best member of that width, or as the recipe says where there is none. Of
    `cache` it sees only patients that the parent was trained on.
    """
    parent = derivation.parent
    patients = find_trained(parent, cache)
    student, start = _begin(derivation, recipe)
    teacher = load_ensemble(parent)
    trainer = StudentTrainer(cache, patients, teacher, student, recipe, lesson)
    derivation.open()
    state = trainer.fit(derivation.part, watch)
    student.load_state_dict(state.best)
    best = state.history[state.best_epoch]
    write_json(derivation.part / HISTORY_PATH, [state.history])
    details = asdict(lesson) | {
        "start": start,
        "data": cache.digest,
        "patients": len(patients),
        "epoch": state.best_epoch,
        "validation": {key: best[key] for key in ("agreement", "divergence")},
    }
    members = (derivation.save_member(student),)
    (derivation.part / TEACHER_NAME).unlink(missing_ok=True)
    limit = (
        f"A student of {len(parent.manifest.members)} members: it agrees with them in "
        f"{best['agreement']:.1%} of frames of patients that taught it nothing but were among "
        "theirs; how well it judges others must be measured."
    )
    derivation.finish(members, details, limit, card={"recipe": recipe.to_json()})
    return details


def _begin(derivation: Derivation, recipe: Recipe) -> tuple[Network, str]:
    """Return the untaught student and where it starts from."""
    parent = derivation.parent
    members = parent.manifest.members
    try:
        order = [number for number, _ in rank_by_validation(parent)]
    except InputError:  # no history of training: the order of the bundle
        order = list(range(len(members)))
    wanted = (recipe.architecture, recipe.width)
    for number in order:
        if (members[number].architecture, members[number].width) == wanted:
            return load_member(parent, members[number]), f"member {members[number].name}"
    torch.manual_seed(recipe.seed * 1000 + SEED_KEY)
    classes, size_px = len(parent.manifest.labels), parent.manifest.preprocessing.size_px
    student = make_network(recipe.architecture, classes, recipe.width, size_px)
    student.load_state_dict(read_start(recipe, size_px), strict=False)
    return student, f"weights {recipe.weights}"
