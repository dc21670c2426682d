"""A whole training run: folds, members, held-out predictions, and the bundle they make."""

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from neurosono import engine
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.bundle import file_of, write_json, write_manifest
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.manifest import Manifest, Member
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.files import writing
from neurosono.engine.judgement import judge
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import fill_network
from neurosono.training.audit import audit
from neurosono.training.card import CardText
from neurosono.training.fit.checkpoint import MemberState, load_state
from neurosono.training.fit.logs import LOGS_NAME, TensorBoardLogs
from neurosono.training.fit.member import Step, Watch
from neurosono.training.fit.steps import find_device
from neurosono.training.fit.workers import Task, train_members
from neurosono.training.metrics.metrics import describe_both, shorten
from neurosono.training.recipe import PAPER, Recipe
from neurosono.training.splits import Fold, make_folds

RECIPE_NAME = "recipe.json"
REPORT_NAME = "report"
PREDICTIONS_NAME = "predictions.csv"
PAPER_PREDICTIONS_NAME = "predictions_paper.csv"
EXAMS_NAME = "exams.csv"
OPTIMISTIC_LIMIT = (
    "Its epochs were chosen on the very patients that its held-out figures are of (selection = "
    "paper, as published): those figures are too good."
)


@dataclass(frozen=True)
class Run:
    """What is trained on what, and where it goes: `out` is made whole at the very end.

    Until then everything stands in `out` with the ending `.part`; the same command takes it up
    again after a kill. `cluster` is the address of a Ray cluster, or `local`; without it members
    are trained by `workers` processes here, and each keeps its state at the end of an epoch, but
    not more often than every `save_every_s`. Without `tensorboard` no logs of it are written.
    """

    cache: Cache
    recipe: Recipe
    out: Path
    name: str
    workers: int = 1
    card: CardText = field(default_factory=CardText)
    cluster: str | None = None
    save_every_s: float = 0.0
    tensorboard: bool = True

    @property
    def part(self) -> Path:
        """Return the folder in which the bundle grows."""
        return self.out.with_name(self.out.name + ".part")

    def train(self, watch: Watch) -> dict[str, Any]:
        """Train all members, judge held-out patients, write the bundle; return its metrics."""
        audit(self.cache)
        folds = self._deal()
        self._open()
        tasks = [self._task(number, folds) for number in range(self._count(folds))]
        states = self._train_members(tasks, watch)
        return self._write(dict(enumerate(states)), folds)

    def close(self) -> dict[str, Any]:
        """Write the bundle of a run that was stopped, of the members that are worth it; metrics.

        Those are the members that have a best epoch among what was kept of them. A fold without one
        judges nobody. Raises `InputError` where there is no such member.
        """
        folds = self._deal()
        paths = {
            number: self._task(number, folds).state_path for number in range(self._count(folds))
        }
        states = {number: load_state(path) for number, path in paths.items()}
        states = {number: state for number, state in states.items() if state.best}
        if not states:
            raise InputError(f"no member of {self.part} has come as far as an epoch to choose")
        return self._write(states, folds)

    def _deal(self) -> list[Fold]:
        planes = find_planes(self.cache)
        return make_folds(self.cache.label_of_patient, self.cache.labels, self.recipe, planes)

    def _count(self, folds: list[Fold]) -> int:
        return self.recipe.members or len(folds)

    def _train_members(self, tasks: list[Task], watch: Watch) -> list[MemberState]:
        with TensorBoardLogs(self.part / REPORT_NAME / LOGS_NAME) as logs:

            def hear(step: Step) -> None:
                if self.tensorboard:
                    logs.hear(step)
                watch(step)

            if self.cluster is None:
                return train_members(tasks, min(self.workers, len(tasks)), hear)
            from neurosono.training.fit.cluster import train_on_cluster

            return train_on_cluster(tasks, self.cluster, self.workers, hear)

    def _task(self, number: int, folds: list[Fold]) -> Task:
        return Task(
            cache_root=self.cache.root,
            fold=folds[number % len(folds)],
            number=number,
            recipe=self.recipe,
            state_path=self.part / f"state-{number:02d}.pt",
            save_every_s=self.save_every_s,
        )

    def _open(self) -> None:
        """Make the working folder, or take it up again where it was begun by the same recipe."""
        if self.out.exists():
            raise OutputError(f"{self.out} is there already: choose another --out or remove it")
        about = {"recipe": self.recipe.to_json(), "data": self.cache.digest}
        path = self.part / RECIPE_NAME
        with writing(self.part):
            self.part.mkdir(parents=True, exist_ok=True)
        if path.exists() and json.loads(path.read_bytes()) != about:
            raise InputError(
                f"{self.part} was begun with another recipe or other data: give the same ones to "
                "take it up again, or remove it to begin anew"
            )
        write_json(path, about)

    def _judge(
        self, members: dict[int, dict[str, Tensor]], folds: list[Fold], scope: str
    ) -> tuple[Predictions, dict[str, Any]]:
        """Let each member judge its fold's patients; return what it said and how good that is."""
        parts, recipe, spec = [], self.recipe, self.cache.spec
        form = (recipe.architecture, len(self.cache.labels), recipe.width, spec.size_px)
        for fold in folds:
            if fold.index not in members:
                continue
            member = fill_network(*form, members[fold.index])
            backend = TorchBackend(Ensemble([member], spec), find_device().type)
            rows = self.cache.rows_of(fold.judged)
            if len(rows):  # with few members, another one may have been dealt all of its patients
                parts.append(
                    judge(backend, self.cache, rows, fold=fold.index, salt=self.cache.digest)
                )
        found = Predictions.join(parts)
        return found, {"notice": NOTICE, "scope": scope} | describe_both(found)

    def _judge_all(
        self, states: dict[int, MemberState], folds: list[Fold], report: Path
    ) -> dict[str, Any]:
        """Write what was said of held-out patients, and return how good it is.

        With more members than folds, the first ones judge.
        """
        scope = "out of fold, uncalibrated"
        if self.recipe.selection == PAPER:
            scope += "; epochs chosen on the judged patients: optimistic"
        best = {number: state.best for number, state in states.items()}
        held_out, metrics = self._judge(best, folds, scope)
        metrics["epochs"] = [state.best_epoch + 1 for state in states.values()]
        held_out.write(report / PREDICTIONS_NAME)
        held_out.by_exam().write(report / EXAMS_NAME)
        if self.recipe.measures_optimism:
            by_paper = {number: state.paper for number, state in states.items()}
            paper, of_paper = self._judge(by_paper, folds, "")
            paper.write(report / PAPER_PREDICTIONS_NAME)
            metrics["epochs_paper"] = [state.paper_epoch + 1 for state in states.values()]
            metrics["optimism"] = {
                level: of_paper[level]["accuracy"] - metrics[level]["accuracy"]
                for level in ("frames", "exams")
            }
        return metrics

    def _write(self, states: dict[int, MemberState], folds: list[Fold]) -> dict[str, Any]:
        report = self.part / REPORT_NAME
        with writing(self.part, "free some space"):
            report.mkdir(exist_ok=True)
        metrics = self._judge_all(states, folds, report)
        try:
            (self.part / "members").mkdir(exist_ok=True)
            members = tuple(self._write_member(number, s) for number, s in states.items())
        except (OSError, SafetensorError) as error:
            raise OutputError(f"cannot write {self.part}: {error}; free some space") from error
        write_json(report / "metrics.json", metrics)
        write_json(report / "history.json", [state.history for state in states.values()])
        trained = {number % len(folds) for number in states}
        card = self._describe([fold for fold in folds if fold.index in trained], metrics)
        manifest = Manifest(self.name, self.cache.labels, self.cache.spec, members, card=card)
        write_manifest(self.part, manifest)
        for path in self.part.glob("state-*"):
            path.unlink()
        self.part.replace(self.out)
        return metrics

    def _write_member(self, number: int, state: MemberState) -> Member:
        path = f"members/{number:02d}.safetensors"
        save_file(state.best, self.part / path)
        return Member(
            f"{number:02d}",
            self.recipe.width,
            file_of(self.part, path),
            self.recipe.architecture,
        )

    def _describe(self, folds: list[Fold], metrics: dict[str, Any]) -> dict[str, Any]:
        """Return the model card: what a reader must know before believing a number."""
        seen = set().union(*(fold.train | fold.validation for fold in folds))
        card = self.card.to_json()
        if self.recipe.selection == PAPER:
            seen = seen.union(*(fold.held_out for fold in folds))
            card["limits"].append(OPTIMISTIC_LIMIT)
        short = shorten(metrics)
        if "optimism" in metrics:
            short["optimism"] = metrics["optimism"]
        return card | {
            "training_data": count_data(self.cache)
            | {"patients_seen": sorted(pseudonym(p, self.cache.digest) for p in seen)},
            "recipe": self.recipe.to_json(),
            "metrics": {"out_of_fold": short},
            "environment": describe_environment(),
        }


def find_planes(cache: Cache) -> dict[str, str]:
    """Return the planes seen of each patient, as one word; empty where none is known."""
    found: dict[str, set[str]] = {patient: set() for patient in cache.label_of_patient}
    for row in cache.rows:
        found[row.patient].add(row.plane)
    return {patient: ", ".join(sorted(planes)) for patient, planes in found.items()}


def count_data(cache: Cache) -> dict[str, Any]:
    """Return what a cache holds: patients and frames, of each class and of each site."""
    label_of, sites = cache.label_of_patient, sorted({row.site for row in cache.rows})
    return {
        "digest": cache.digest,
        "patients": len(label_of),
        "frames": len(cache.rows),
        "one_frame_in": cache.every,
        "classes": {
            label: {
                "patients": sum(each == label for each in label_of.values()),
                "frames": int((cache.targets == number).sum()),
            }
            for number, label in enumerate(cache.labels)
        },
        "sites": {
            site or "unknown": {
                "patients": len({row.patient for row in cache.rows if row.site == site}),
                "frames": sum(row.site == site for row in cache.rows),
            }
            for site in sites
        },
    }


def describe_environment() -> dict[str, Any]:
    """Return what the arithmetic ran on: enough to make it again, nothing that names the host."""
    return {
        "neurosono": engine.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }
