"""One ensemble in four sizes, on patients that no member has seen: all, few, soup, student."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from neurosono.calibration.reliability import measure_ece
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import check_unseen, judge, salt_of
from neurosono.engine.members import load_ensemble
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network
from neurosono.training.fit.checkpoint import load_state
from neurosono.training.fit.steps import find_device
from neurosono.training.metrics.metrics import describe_both, shorten
from neurosono.training.recipe import Recipe
from neurosono.training.sizes.derivation import find_trained, seen_by
from neurosono.training.sizes.lesson import Lesson
from neurosono.training.sizes.soup import average, draw_frames, remeasure_norms
from neurosono.training.sizes.student import Progress, StudentTrainer
from neurosono.training.sizes.top import rank_by_validation

FEW = 5


@dataclass
class Sizes:
    """The members of a bundle on the device, and what each said of patients whom none has seen."""

    bundle: Bundle
    unseen: Cache
    networks: list[Network]
    said: list[Predictions]

    @classmethod
    def of(cls, bundle: Bundle, unseen: Cache, alive: Callable[[], None]) -> "Sizes":
        """Let every member judge; `alive` is called after each, and may raise to stop."""
        check_unseen(unseen, salt_of(bundle), sorted(seen_by(bundle)))
        ensemble = load_ensemble(bundle).requires_grad_(False).to(find_device())
        found = cls(bundle, unseen, cast(list[Network], list(ensemble.members)), [])
        for network in found.networks:
            found.said.append(found.judge(network))
            alive()
        return found

    def judge(self, network: Network) -> Predictions:
        """Return what one network says of the unseen patients, in float32."""
        backend = TorchBackend(Ensemble([network], self.unseen.spec), find_device().type)
        rows = np.arange(len(self.unseen.rows), dtype=np.int64)
        return judge(backend, self.unseen, rows, fold=-1, salt=salt_of(self.bundle))

    @property
    def ranked(self) -> list[int]:
        """The members' numbers, the best by their own validation patients first."""
        return [number for number, _ in rank_by_validation(self.bundle)]

    def join(self, numbers: range | list[int]) -> Predictions:
        """Return what these members say together."""
        mean = np.mean([self.said[number].probabilities for number in numbers], axis=0)
        return self.said[0].with_probabilities(mean)

    def describe(self, one: Predictions) -> dict[str, Any]:
        """Return how good a size is, uncalibrated, and how often it says what all members say."""
        found = shorten(describe_both(one)) | {"exam_ece": measure_ece(one.by_exam())}
        mean = self.join(range(len(self.said)))
        for of, a, b in (("frames", one, mean), ("exams", one.by_exam(), mean.by_exam())):
            same = a.probabilities.argmax(1) == b.probabilities.argmax(1)
            found[f"{of}_that_agree"] = float(same.mean())
        return found


def cook(sizes: Sizes, training: Cache) -> dict[str, Any]:
    """Average all members' weights, measure the norms anew, and judge with what comes out."""
    rows = draw_frames(training.rows_of(find_trained(sizes.bundle, training)))
    soup = average(sizes.networks)
    remeasure_norms(soup, training, rows)
    return sizes.describe(sizes.judge(soup))


def teach(
    sizes: Sizes, training: Cache, recipe: Recipe, folder: Path, alive: Callable[[Progress], None]
) -> dict[str, Any]:
    """Distil all members into the best of them, and judge with it.

    `alive` hears every step and may raise `TimeoutError`: the best epoch until then is judged.
    """
    best = sizes.networks[sizes.ranked[0]]
    teacher = Ensemble(sizes.networks, training.spec)
    recipe = replace(recipe, architecture=best.architecture, width=best.width)
    student = average([best]).requires_grad_(True)
    patients = find_trained(sizes.bundle, training)
    lesson = Lesson(view="clean")
    trainer = StudentTrainer(training, patients, teacher, student, recipe, lesson)
    folder.mkdir(parents=True, exist_ok=True)
    cut = False
    try:
        state = trainer.fit(folder, alive)
    except TimeoutError:
        state, cut = load_state(folder / "state-00.pt"), True
    if not state.best:
        raise TimeoutError("the student has no whole epoch")
    student.load_state_dict(state.best)
    about = {"epochs": len(state.history), "cut_short": cut, "history": state.history}
    return sizes.describe(sizes.judge(student.requires_grad_(False))) | about
