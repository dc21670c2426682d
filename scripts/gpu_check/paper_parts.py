"""The parts of the step `paper`: caches, start, members, figures, sizes."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import NORMAL_LABEL
from neurosono.scripts.gpu_check.paper_packing import unpack_cache
from neurosono.scripts.gpu_check.paper_rehearsal import draw_cache, shrink_cache
from neurosono.scripts.gpu_check.paper_sizes import FEW, Sizes, cook, teach
from neurosono.scripts.gpu_check.paper_watch import Clock, Findings, Follower, Json
from neurosono.training.fit.checkpoint import load_state
from neurosono.training.recipe import LOPO, RANDOM_WEIGHTS, Recipe, load_recipe
from neurosono.training.run import Run

PACKED_NAME = "paper.zip"
KEPT_NAME = "paper-kept.zip"
CACHES = ("paper", "start", "unseen")

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


@dataclass
class Paper:
    """The step: its parts share folders, a clock and what was found."""

    out: Path
    work: Path
    clock: Clock
    findings: Findings
    workers: int
    rehearse: bool
    caches: dict[str, Cache] = field(default_factory=dict)
    start: str = RANDOM_WEIGHTS
    speed: float = 0.0
    figures: "subprocess.Popen[bytes] | None" = None

    @property
    def bundle(self) -> Path:
        """Return where the members' bundle is made."""
        return self.work / "paper-bundle"

    @property
    def folds(self) -> int:
        """Return how many members there are to train: one for each patient with an anomaly."""
        labels = self.caches["paper"].label_of_patient.values()
        return sum(label != NORMAL_LABEL for label in labels)

    @property
    def after_s(self) -> float:
        """Return what is kept for all that follows the members' training."""
        return AFTER_SHARE * self.clock.seconds

    def prepare(self, data: Path | None) -> Json:
        """Make the caches."""
        found: Json = {}
        for number, name in enumerate(CACHES):
            root = self.work / f"{name}.cache"
            if data is None:
                self.caches[name] = draw_cache(root, seed=number)
                continue
            cache, same = unpack_cache(data / PACKED_NAME, name, self.work / f"{name}.packed")
            self.caches[name] = shrink_cache(cache, root) if self.rehearse else cache
            found[f"{name}_pixel_for_pixel"] = same
        for name, cache in self.caches.items():
            found[name] = {"patients": len(cache.label_of_patient), "frames": len(cache.rows)}
            found[name]["digest"] = cache.digest
        return found

    def train_start(self) -> Json:
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

    def _keep_unfinished(self, run: Run, hear: Follower) -> Json:
        """Let the members start from what saw small pictures alone: that is better than nothing."""
        state = load_state(run.part / "state-00.pt")
        if not state.weights:
            raise InputError("the start has no whole epoch: members start at random")
        path = self.work / "unfinished.safetensors"
        save_file(state.weights, path)
        self.start, self.speed = str(path), hear.speed(run.cache.spec.size_px)
        return {"cut_short": True, "epochs": state.epochs_done, "history": state.history}

    def train_members(self) -> Json:
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

    def _train(self, run: Run, hear: Follower) -> tuple[Json, bool]:
        try:
            return run.train(hear), False
        except TimeoutError:
            return run.close(), True

    def _describe_run(self, run: Run, hear: Follower, metrics: Json) -> Json:
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

    def keep(self) -> Json:
        """Zip what the figures can be made of again, and begin to make them, beside the GPU."""
        report = self.bundle / "report"
        names = ("predictions.csv", "predictions_paper.csv", "history.json", "metrics.json")
        with zipfile.ZipFile(self.out / KEPT_NAME, "w", zipfile.ZIP_DEFLATED) as file:
            for path in (*(report / name for name in names), self.bundle / "manifest.json"):
                file.write(path, path.name)
            start = self.work / "start" / "report" / "history.json"
            if start.exists():
                file.write(start, "start-history.json")
        words = [sys.executable, "-m", "neurosono.scripts.gpu_check.paper_figures"]
        words += [str(report / names[0]), "--paper", str(report / names[1])]
        words += ["--out", str(self.work / "figures.json")]
        cpu = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        self.figures = subprocess.Popen(words, env=cpu)
        return {"file": KEPT_NAME, "bytes": (self.out / KEPT_NAME).stat().st_size}

    def read_figures(self) -> Json:
        """Wait for the figures, as long as there is time."""
        if self.figures is None:
            raise InputError("no predictions to make figures of")
        try:
            code = self.figures.wait(timeout=max(1.0, self.clock.left_s - 5))
        except subprocess.TimeoutExpired:
            self.figures.kill()
            raise TimeoutError(f"not made in time: make them of {KEPT_NAME}") from None
        if code:
            raise InputError(f"making the figures ended with {code}: make them of {KEPT_NAME}")
        found: Json = json.loads((self.work / "figures.json").read_bytes())
        return found

    def measure_sizes(self) -> Json:
        """Judge unseen patients with all members, five, one, and their average."""
        found: Json = {}
        sizes = Sizes.of(
            Bundle.load(self.bundle), self.caches["unseen"], lambda: self.clock.check(20)
        )
        said = self.work / "members-unseen.npz"
        np.savez_compressed(said, probabilities=sizes.probabilities().astype(np.float32))
        with zipfile.ZipFile(self.out / KEPT_NAME, "a", zipfile.ZIP_DEFLATED) as file:
            file.write(said, said.name)
        ranked = sizes.ranked
        for name, numbers in (
            ("all", ranked),
            (f"best_{FEW}", ranked[:FEW]),
            ("best_1", ranked[:1]),
        ):
            found[name] = sizes.describe(sizes.join(numbers))
            found[f"exams_right_{name}"] = found[name]["exams"]["accuracy"]
        self.findings.tell("sizes", found)
        found["soup"] = cook(sizes, self.caches["paper"])
        found["exams_right_soup"] = found["soup"]["exams"]["accuracy"]
        self.findings.tell("sizes", found)
        self.clock.check(25)
        recipe = (
            replace(STUDENT, batch=8, epochs=1, full_size_epochs=1) if self.rehearse else STUDENT
        )
        alive: Callable[[object], None] = lambda _: self.clock.check(10)  # noqa: E731
        found["student"] = teach(sizes, self.caches["paper"], recipe, self.work / "student", alive)
        found["exams_right_student"] = found["student"]["exams"]["accuracy"]
        return found

    def attempt(self, name: str, run: Callable[[], Json]) -> None:
        """Tell what a part found, or in one sentence why it did not."""
        begun_s = self.clock.spent_s
        try:
            found = run()
        except Exception as error:  # noqa: BLE001 (the parts that follow are still worth their time)
            found = {"failed": f"{type(error).__name__}: {error}"}
            found = self.findings.data.get(name, {}) | found
        self.findings.tell(name, found | {"took_s": round(self.clock.spent_s - begun_s, 1)})
