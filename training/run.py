"""A whole training run: folds, members, held-out predictions, and the bundle they make."""

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from engine.backends.torch import TorchBackend
from engine.bundle import file_of, write_json, write_manifest
from engine.contracts.cache import Cache, pseudonym
from engine.contracts.errors import InputError, OutputError
from engine.contracts.manifest import Manifest, Member
from engine.contracts.notice import NOTICE
from engine.contracts.predictions import Predictions
from engine.judgement import judge
from engine.network import Ensemble, ResNet34
from training.card import CardText
from training.checkpoint import MemberState
from training.member import Watch
from training.metrics import describe_both, shorten
from training.recipe import Recipe
from training.splits import Fold, make_folds
from training.workers import Task, train_members

RECIPE_NAME = "recipe.json"
REPORT_NAME = "report"
PREDICTIONS_NAME = "predictions.csv"
EXAMS_NAME = "exams.csv"


@dataclass(frozen=True)
class Run:
    """What is trained on what, and where it goes: `out` is made whole at the very end.

    Until then everything stands in `out` with the ending `.part`; the same command takes it up
    again after a kill.
    """

    cache: Cache
    recipe: Recipe
    out: Path
    name: str
    workers: int = 1
    card: CardText = field(default_factory=CardText)

    @property
    def part(self) -> Path:
        """Return the folder in which the bundle grows."""
        return self.out.with_name(self.out.name + ".part")

    def train(self, watch: Watch) -> dict[str, Any]:
        """Train all members, judge held-out patients, write the bundle; return its metrics."""
        folds = make_folds(self.cache.label_of_patient, self.cache.labels, self.recipe)
        self._open()
        tasks = [self._task(number, folds) for number in range(self.recipe.members or len(folds))]
        states = train_members(tasks, min(self.workers, len(tasks)), watch)
        used = folds[: len(states)]
        held_out = [
            self._judge_held_out(state, fold) for state, fold in zip(states, used, strict=False)
        ]
        return self._write(states, used, Predictions.join(held_out))

    def _task(self, number: int, folds: list[Fold]) -> Task:
        return Task(
            cache_root=self.cache.root,
            fold=folds[number % len(folds)],
            number=number,
            recipe=self.recipe,
            state_path=self.part / f"state-{number:02d}.pt",
        )

    def _open(self) -> None:
        """Make the working folder, or take it up again where it was begun by the same recipe."""
        if self.out.exists():
            raise OutputError(f"{self.out} is there already: choose another --out or remove it")
        about = {"recipe": self.recipe.to_json(), "data": self.cache.digest}
        path = self.part / RECIPE_NAME
        try:
            self.part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.part}: {error.strerror}") from error
        if path.exists() and json.loads(path.read_bytes()) != about:
            raise InputError(
                f"{self.part} was begun with another recipe or other data: give the same ones to "
                "take it up again, or remove it to begin anew"
            )
        write_json(path, about)

    def _judge_held_out(self, state: MemberState, fold: Fold) -> Predictions:
        backend = TorchBackend(Ensemble([self._member(state)], self.cache.spec))
        rows = self.cache.rows_of(fold.held_out)
        return judge(backend, self.cache, rows, fold=fold.index, salt=self.cache.digest)

    def _member(self, state: MemberState) -> ResNet34:
        member = ResNet34(len(self.cache.labels), self.recipe.width)
        member.load_state_dict(state.best)
        return member.eval()

    def _write(
        self, states: list[MemberState], folds: list[Fold], held_out: Predictions
    ) -> dict[str, Any]:
        report = self.part / REPORT_NAME
        metrics = {"notice": NOTICE, "scope": "out of fold, uncalibrated"}
        metrics |= describe_both(held_out)
        try:
            (self.part / "members").mkdir(exist_ok=True)
            report.mkdir(exist_ok=True)
            members = tuple(self._write_member(number, s) for number, s in enumerate(states))
        except OSError as error:
            raise OutputError(f"cannot write {self.part}: {error}; free some space") from error
        held_out.write(report / PREDICTIONS_NAME)
        held_out.by_exam().write(report / EXAMS_NAME)
        write_json(report / "metrics.json", metrics)
        write_json(report / "history.json", [state.history for state in states])
        card = self._describe(folds, metrics)
        manifest = Manifest(self.name, self.cache.labels, self.cache.spec, members, card=card)
        write_manifest(self.part, manifest)
        for path in self.part.glob("state-*.pt"):
            path.unlink()
        self.part.replace(self.out)
        return metrics

    def _write_member(self, number: int, state: MemberState) -> Member:
        path = f"members/{number:02d}.safetensors"
        save_file(state.best, self.part / path)
        return Member(f"{number:02d}", self.recipe.width, file_of(self.part, path))

    def _describe(self, folds: list[Fold], metrics: dict[str, Any]) -> dict[str, Any]:
        """Return the model card: what a reader must know before believing a number."""
        seen = set().union(*(fold.train | fold.validation for fold in folds))
        classes = {
            label: {
                "patients": sum(each == label for each in self.cache.label_of_patient.values()),
                "frames": int((self.cache.targets == number).sum()),
            }
            for number, label in enumerate(self.cache.labels)
        }
        return self.card.to_json() | {
            "training_data": {
                "digest": self.cache.digest,
                "patients": len(self.cache.label_of_patient),
                "frames": len(self.cache.rows),
                "one_frame_in": self.cache.every,
                "classes": classes,
                "patients_seen": sorted(pseudonym(p, self.cache.digest) for p in seen),
            },
            "recipe": self.recipe.to_json(),
            "metrics": {"out_of_fold": shorten(metrics)},
            "environment": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "threads": torch.get_num_threads(),
            },
        }
