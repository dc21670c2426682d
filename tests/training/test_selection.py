"""Who chooses the epoch, and what the published choice would have said of itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.fit.checkpoint import MemberState
from neurosono.training.fit.member import MemberTrainer, Step
from neurosono.training.recipe import Recipe
from neurosono.training.run import OPTIMISTIC_LIMIT, Run
from neurosono.training.splits import make_folds
from tests.training.conftest import TINY

MakeCohort = Callable[..., Cache]

FULL = replace(TINY, epochs=6, full_size_epochs=6, patience=6, learning_rate=1e-2)


def _ignore(_: Step) -> None:
    pass


def _fit(cache: Cache, recipe: Recipe, path: Path) -> MemberState:
    fold = make_folds(cache.label_of_patient, cache.labels, recipe)[0]
    return MemberTrainer(cache, fold, 0, recipe).fit(path, _ignore)


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.probabilities.argmax(1) == predictions.targets).mean())


def test_one_run_gives_both_predictions_and_measuring_changes_nothing(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    metrics = Run(cache, FULL, tmp_path / "with", "tiny").train(_ignore)
    silent = replace(FULL, measure_optimism=False)
    other = Run(cache, silent, tmp_path / "without", "tiny").train(_ignore)

    for member in ("00", "01"):
        one, two = (
            load_file(tmp_path / name / "members" / f"{member}.safetensors")
            for name in ("with", "without")
        )
        assert all(torch.equal(one[name], two[name]) for name in one)
    report = tmp_path / "with" / "report"
    plain = tmp_path / "without" / "report"
    assert (report / "predictions.csv").read_text() == (plain / "predictions.csv").read_text()
    assert not (plain / "predictions_paper.csv").exists()
    assert "optimism" not in other

    nested = Predictions.read(report / "predictions.csv")
    paper = Predictions.read(report / "predictions_paper.csv")
    assert np.array_equal(nested.rows, paper.rows)
    differ = metrics["epochs"] != metrics["epochs_paper"]
    assert differ != np.array_equal(nested.probabilities, paper.probabilities)
    for level, (a, b) in {
        "frames": (nested, paper),
        "exams": (nested.by_exam(), paper.by_exam()),
    }.items():
        assert metrics["optimism"][level] == pytest.approx(_accuracy(b) - _accuracy(a))
    one_frame = 1 / len(cache.rows)  # two ways to add up may tell two equal classes apart
    assert metrics["optimism"]["frames"] >= -one_frame, "the best of six on the judged themselves"
    assert json.loads((report / "metrics.json").read_bytes())["optimism"] == metrics["optimism"]
    card = Bundle.load(tmp_path / "with").manifest.card
    assert card["metrics"]["out_of_fold"]["optimism"] == metrics["optimism"]
    assert OPTIMISTIC_LIMIT not in card["limits"]


def test_the_paper_epoch_is_the_first_best_on_the_held_out_patients(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    state = _fit(cache, FULL, tmp_path / "s.pt")
    held_out = [record["held_out_accuracy"] for record in state.history]
    assert state.paper_epoch == int(np.argmax(held_out))
    assert state.paper_score == max(held_out)
    assert not state.weights, "a finished member keeps its chosen weights only"


class _Scored(MemberTrainer):
    """Trains, but is told how well: what is chosen and when it ends must not hang on a CPU."""

    def _validate(self, rows: NDArray[np.int64], size_px: int) -> tuple[float, float]:
        if np.array_equal(rows, self._held_out):
            return 0.5, 1.0  # never better than after the first epoch
        self.asked = getattr(self, "asked", 0) + 1
        return self.asked / 100, 1.0  # better after every epoch


def test_the_paper_choice_ends_where_its_own_patience_would_have(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    recipe = replace(FULL, patience=2)
    fold = make_folds(cache.label_of_patient, cache.labels, recipe)[0]
    state = _Scored(cache, fold, 0, recipe).fit(tmp_path / "s.pt", _ignore)
    measured = [record["epoch"] for record in state.history if "held_out_accuracy" in record]
    assert state.paper_epoch == 0
    assert measured == [0, 1, 2], "stopped two epochs after the best; the inner run went on"
    assert (state.epochs_done, state.best_epoch) == (6, 5)


def test_paper_selection_chooses_and_stops_by_the_held_out_patients(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    recipe = replace(FULL, selection="paper", members=1)
    fold = make_folds(cache.label_of_patient, cache.labels, recipe)[0]
    state = _fit(cache, recipe, tmp_path / "s.pt")
    accuracies = [record["validation_accuracy"] for record in state.history]
    assert state.best_epoch == int(np.argmax(accuracies)), "the first of the best, as published"

    metrics = Run(cache, recipe, tmp_path / "b", "tiny").train(_ignore)
    judged = Predictions.read(tmp_path / "b" / "report" / "predictions.csv")
    assert _accuracy(judged) == pytest.approx(max(accuracies)), "judged by whom they chose"
    assert metrics["scope"].endswith("optimistic")
    assert not (tmp_path / "b" / "report" / "predictions_paper.csv").exists()
    card = Bundle.load(tmp_path / "b").manifest.card
    assert OPTIMISTIC_LIMIT in card["limits"]
    seen = set(card["training_data"]["patients_seen"])
    assert {pseudonym(patient, cache.digest) for patient in fold.held_out} <= seen


def test_lopo_judges_every_frame_once(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache = make_cohort(patients=6, frames=2, labels=("rows", "normal"))
    recipe = replace(TINY, folds="lopo", members=0, epochs=1, full_size_epochs=1)
    metrics = Run(cache, recipe, tmp_path / "b", "tiny").train(_ignore)
    assert len(Bundle.load(tmp_path / "b").manifest.members) == 6, "one an anomalous patient"
    found = Predictions.read(tmp_path / "b" / "report" / "predictions.csv")
    assert sorted(found.rows) == list(range(len(cache.rows)))
    assert metrics["patients"] == 12
