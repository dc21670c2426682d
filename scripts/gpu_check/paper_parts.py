"""The parts of the step `paper`: caches, start, members, figures, sizes."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS, NORMAL_LABEL
from neurosono.scripts.gpu_check import paper_figures
from neurosono.scripts.gpu_check.packing import lay_out
from neurosono.scripts.gpu_check.paper_sizes import FEW, Sizes, cook, teach
from neurosono.scripts.gpu_check.record import Clock, Found, Record
from neurosono.scripts.gpu_check.rehearsal import draw_cache, lay_out_few
from neurosono.training.fit.checkpoint import load_state
from neurosono.training.fit.member import Step
from neurosono.training.recipe import LOPO, RANDOM_WEIGHTS, Recipe, load_recipe
from neurosono.training.run import Run

KEPT_NAME = "paper-kept.zip"
CACHES = ("paper", "start", "unseen")
DRAWN = (*DEFAULT_LABELS[:2], NORMAL_LABEL)
"""Of a rehearsal without data."""

START_SHARE = 0.25
"""Of all seconds, the most that the start may take."""
AFTER_SHARE = 0.24
"""Of all seconds, what is left for judging, figures, soup and student when training ends."""
POOL_S = 12.0
"""What worker processes take to begin: each imports torch and opens the GPU."""
GAIN = 1.4
"""So much more do several processes give than one: an estimate, which sizes epochs."""
LEAST_EPOCHS, MOST_EPOCHS = 3, 10
SAVE_EVERY_S = 10.0

START = replace(
    load_recipe("demo"),
    width=1.0,
    folds=60,
    members=1,
    validation_share=0.06,
    measure_optimism=False,
    epochs=46,
    full_size_epochs=6,
    patience=46,
    batch=64,
    learning_rate=1e-3,
    warmup_epochs=2,
    seed=1,
)
"""What members start from: most epochs at 112 px, a quarter of the cost, the last ones at 224."""

MEMBERS = replace(
    load_recipe("fine-tune"), width=1.0, folds=LOPO, members=0, batch=64, learning_rate=1e-4
)
"""The recipe for a start that knows the kind of picture; twice the rate at twice the batch."""

STUDENT = replace(load_recipe("student"), batch=64, learning_rate=2e-4)


class Follower:
    """Hears the steps of a run: its speed, one member's losses, and the end of its time."""

    def __init__(self, clock: Clock, keep_s: float, recipe: Recipe, size_px: int) -> None:
        self._clock, self._keep_s, self._recipe, self._size_px = clock, keep_s, recipe, size_px
        self._begun_s: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._last_s: dict[int, float] = {}
        self.losses: list[float] = []

    def __call__(self, step: Step) -> None:
        """Take a step down; raise `TimeoutError` when the run must end."""
        self._clock.check(self._keep_s)
        if step.validation is not None:
            return
        if step.member == 0:
            self.losses.append(round(step.loss, 4))
        size_px = self._recipe.size_at(step.epoch, self._size_px)
        now_s = self._clock.spent_s
        # The first step of a size pays for what is set up once: it starts the clock.
        if size_px not in self._begun_s:
            self._begun_s[size_px] = now_s
        else:
            self._seen[size_px] = self._seen.get(size_px, 0) + self._recipe.batch
        self._last_s[size_px] = now_s

    def speeds(self) -> dict[int, float]:
        """Return pictures learnt from a second at each input size, of all processes together."""
        return {
            size: seen / max(self._last_s[size] - self._begun_s[size], 1e-6)
            for size, seen in self._seen.items()
        }

    def speed(self, size_px: int) -> float:
        """Return pictures a second at this size, guessed by area where others were seen; or 0."""
        areas = {size: speed * (size / size_px) ** 2 for size, speed in self.speeds().items()}
        return areas.get(size_px, max(areas.values(), default=0.0))


@dataclass
class Paper:
    """The step: its parts share folders, a clock and what was found."""

    record: Record
    workers: int
    rehearse: bool
    caches: dict[str, Cache] = field(default_factory=dict)
    start: str = RANDOM_WEIGHTS
    speed: float = 0.0
    figures: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.clock, self.work = self.record.clock, self.record.work
        self.bundle, self.kept = self.work / "paper-bundle", self.record.out / KEPT_NAME
        self.after_s = AFTER_SHARE * self.clock.seconds

    @property
    def folds(self) -> int:
        """How many members there are to train: one for each patient with an anomaly."""
        labels = self.caches["paper"].label_of_patient.values()
        return sum(label != NORMAL_LABEL for label in labels)

    def prepare(self, data: Path | None) -> Found:
        """Make the caches."""
        found: Found = {}
        root = self.work / "data"
        if data is not None:
            found = (lay_out_few if self.rehearse else lay_out)(data, root, CACHES, CACHES)
        for number, name in enumerate(CACHES):
            if data is None:
                draw_cache(root / name, DRAWN, number)
            cache = self.caches[name] = Cache.load(root / name)
            found[name] = {"patients": len(cache.label_of_patient), "frames": len(cache.rows)}
            found[name]["digest"] = cache.digest
        return found

    def train_start(self) -> Found:
        """Train one network on other patients; the members start from it."""
        cache, recipe = self.caches["start"], self._fit_recipe(START)
        keep_s = (1 - START_SHARE) * self.clock.seconds
        hear = Follower(self.clock, keep_s, recipe, cache.spec.size_px)
        run = self._plan(cache, recipe, self.work / "start", 1)
        try:
            metrics, cut = self._train(run, hear)
        except InputError:
            return self._keep_unfinished(run, hear)
        self.start = str(run.out / "members" / "00.safetensors")
        self.speed = hear.speed(cache.spec.size_px)
        return {"cut_short": cut} | self._describe_run(run, hear, metrics)

    def _keep_unfinished(self, run: Run, hear: Follower) -> Found:
        """Let the members start from what saw small pictures alone: that is better than nothing."""
        state = load_state(run.part / "state-00.pt")
        if not state.weights:
            raise InputError("the start has no whole epoch: members start at random")
        path = self.work / "unfinished.safetensors"
        save_file(state.weights, path)
        self.start, self.speed = str(path), hear.speed(run.cache.spec.size_px)
        return {"cut_short": True, "epochs": state.epochs_done, "history": state.history}

    def train_members(self) -> Found:
        """Train a member for each patient left out, and keep what they say of those."""
        cache = self.caches["paper"]
        recipe = self._size_recipe(self._fit_recipe(replace(MEMBERS, weights=self.start)))
        hear = Follower(self.clock, self.after_s, recipe, cache.spec.size_px)
        run = self._plan(cache, recipe, self.bundle, self.workers)
        metrics, cut = self._train(run, hear)
        found = {"members": len(metrics["epochs"]), "of": self.folds, "cut_short": cut}
        return found | self._describe_run(run, hear, metrics)

    def _plan(self, cache: Cache, recipe: Recipe, out: Path, workers: int) -> Run:
        rare: Any = {"save_every_s": SAVE_EVERY_S, "tensorboard": False}
        return Run(cache, recipe, out, out.name, workers, **rare)

    def _train(self, run: Run, hear: Follower) -> tuple[Found, bool]:
        try:
            return run.train(hear), False
        except TimeoutError:
            return run.close(), True

    def _describe_run(self, run: Run, hear: Follower, metrics: Found) -> Found:
        history = json.loads((run.out / "report" / "history.json").read_bytes())
        speeds = {f"{size}_px": round(speed) for size, speed in hear.speeds().items()}
        return {
            "exam_accuracy": metrics["exams"]["accuracy"],
            "frame_accuracy": metrics["frames"]["accuracy"],
            "epochs": run.recipe.epochs,
            "pictures_a_second": speeds,
            "recipe": run.recipe.to_json() | {"weights": Path(run.recipe.weights).name},
            "metrics": metrics,
            "member_0": {"history": history[0], "losses": hear.losses},
        }

    def _fit_recipe(self, recipe: Recipe) -> Recipe:
        if not self.rehearse:
            return recipe
        small = replace(recipe, width=0.125, batch=8, validation_share=0.3, early_size_px=32)
        if recipe.folds == LOPO:
            return replace(small, epochs=1, full_size_epochs=1)
        return replace(small, epochs=2, full_size_epochs=1, folds=3)

    def _size_recipe(self, recipe: Recipe) -> Recipe:
        """Choose as many epochs as fit, by the speed measured on the start."""
        if self.rehearse or not self.speed:
            return recipe
        frames = len(self.caches["paper"].rows) * 0.75  # a member learns from three in four
        time_s = self.clock.left_s - self.after_s - POOL_S
        # Validation and held-out frames are judged each epoch: a third of a learnt one's cost.
        epoch_s = self.folds * frames * 1.12 / (self.speed * GAIN)
        epochs = min(max(int(time_s / epoch_s), LEAST_EPOCHS), MOST_EPOCHS)
        return replace(recipe, epochs=epochs, full_size_epochs=epochs)

    def keep(self) -> Found:
        """Zip what the figures can be made of again, and begin to make them, beside the GPU."""
        report = self.bundle / "report"
        names = ("predictions.csv", "predictions_paper.csv", "history.json", "metrics.json")
        with zipfile.ZipFile(self.kept, "w", zipfile.ZIP_DEFLATED) as file:
            for path in (*(report / name for name in names), self.bundle / "manifest.json"):
                file.write(path, path.name)
            start = self.work / "start" / "report" / "history.json"
            if start.exists():
                file.write(start, "start-history.json")
        words = [str(report / names[0]), "--paper", str(report / names[1])]
        words += ["--out", str(self.work / "figures.json")]
        if self.rehearse:
            paper_figures.main(words)
        else:
            module = [sys.executable, "-m", paper_figures.__name__]
            cpu = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
            self.figures = subprocess.Popen([*module, *words], env=cpu)
        return {"file": KEPT_NAME, "bytes": self.kept.stat().st_size}

    def read_figures(self) -> Found:
        """Wait for the figures, as long as there is time."""
        try:
            code = self.figures.wait(max(1.0, self.clock.left_s - 5)) if self.figures else 0
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"not made in time: make them of {KEPT_NAME}") from None
        finally:
            if self.figures:
                self.figures.kill()
        if code:
            raise InputError(f"making the figures ended with {code}: make them of {KEPT_NAME}")
        found: Found = json.loads((self.work / "figures.json").read_bytes())
        return found

    def measure_sizes(self) -> Found:
        """Judge unseen patients with all members, five, one, and their average."""
        found: Found = {}
        alive = partial(self.clock.check, 20)
        sizes = Sizes.of(Bundle.load(self.bundle), self.caches["unseen"], alive)
        said = self.work / "members-unseen.npz"
        every = np.stack([each.probabilities for each in sizes.said])
        np.savez_compressed(said, probabilities=every.astype(np.float32))
        with zipfile.ZipFile(self.kept, "a", zipfile.ZIP_DEFLATED) as file:
            file.write(said, said.name)
        ranked = sizes.ranked

        def tell(name: str, size: Found) -> None:
            found[name], found[f"exams_right_{name}"] = size, size["exams"]["accuracy"]
            self.record.tell("sizes", found)

        for name, count in (("all", len(ranked)), (f"best_{FEW}", FEW), ("best_1", 1)):
            tell(name, sizes.describe(sizes.join(ranked[:count])))
        tell("soup", cook(sizes, self.caches["paper"]))
        self.clock.check(25)
        small = replace(STUDENT, batch=8, epochs=1, full_size_epochs=1)
        recipe = small if self.rehearse else STUDENT
        folder, watch = self.work / "student", lambda _: self.clock.check(10)
        tell("student", teach(sizes, self.caches["paper"], recipe, folder, watch))
        return found
