import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from neurosono.engine.bundle import Bundle, file_of, write_json, write_manifest
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.gate import GRAPH_NAME, STATISTICS_NAME, WEIGHTS_NAME, GateEntry
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.sizes.derivation import Derivation
from neurosono.training.sizes.top import choose, make_top, rank_by_validation, split_patients
from tests.training.sizes.parents import make_parent

MakeCohort = Callable[..., Cache]


def _say(truths: list[float], seed: int = 0) -> Predictions:
    """Return two-class exams of one frame, label 0, with these probabilities of the truth."""
    count = len(truths)
    names = np.array([f"p{number}" for number in range(count)])
    return Predictions(
        labels=("a", "b"),
        rows=np.arange(count),
        folds=np.full(count, -1),
        patients=names,
        exams=names,
        targets=np.zeros(count, dtype=np.int64),
        weeks=np.full(count, np.nan),
        sites=np.full(count, "", dtype=np.str_),
        probabilities=np.array([[p, 1 - p] for p in truths]),
    )


def test_each_step_takes_what_helps_those_before_it_most() -> None:
    # 0 is the best alone; 1 errs where 0 errs; 2 is worse alone, but errs elsewhere.
    members = [_say([0.9, 0.9, 0.2]), _say([0.89, 0.89, 0.2]), _say([0.25, 0.6, 0.9])]
    taken = choose(members, ["m0", "m1", "m2"], 3)
    assert [number for number, _ in taken] == [0, 2, 1]
    first, second = taken[0][1], taken[1][1]
    assert (first.member, first.accuracy) == ("m0", pytest.approx(2 / 3))
    assert second.accuracy == 1.0
    assert second.log_loss == pytest.approx(-np.log([0.575, 0.75, 0.55]).mean())


def test_accuracy_and_log_loss_may_choose_differently() -> None:
    members = [_say([0.99, 0.99, 0.45]), _say([0.51, 0.51, 0.51])]
    assert choose(members, ["sure", "right"], 1, "log-loss")[0][0] == 0
    assert choose(members, ["sure", "right"], 1, "accuracy")[0][0] == 1


def test_patients_are_dealt_out_whole_and_label_by_label(make_cohort: MakeCohort) -> None:
    cache = make_cohort(patients=4, frames=1)
    chosen_by, measured_on = split_patients(cache, 0.5)
    assert not chosen_by & measured_on
    assert chosen_by | measured_on == set(cache.label_of_patient)
    for label in cache.labels:
        assert sum(cache.label_of_patient[name] == label for name in chosen_by) == 2
    assert split_patients(cache, 0)[1] == frozenset()
    with pytest.raises(InputError, match="share kept to measure on"):
        split_patients(cache, 1)


def test_a_chosen_few_are_a_bundle_in_the_chosen_order(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    parent = Bundle.load(make_parent(tmp_path / "parent", make_cohort(), members=3))
    held_out = make_cohort("held-out", seed=5)
    found = make_top(Derivation(parent, tmp_path / "top", "top"), 2, cache=held_out)

    made = Bundle.load(tmp_path / "top", labels=parent.manifest.labels)
    names = [step["member"] for step in found["steps"]]
    assert [member.name for member in made.manifest.members] == names
    for member in made.manifest.members:
        assert member.file is not None
        ours = load_file(made.root / member.file.path)
        theirs = load_file(parent.root / member.file.path)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    card = made.manifest.card
    assert card["derivation"]["from"]["digest"] == parent.manifest.digest
    assert made.manifest.calibration is None
    assert "metrics" not in card, "those of the parent are not its own"
    assert found["measured"]["exams"] == 6
    assert json.loads((made.root / "report" / "history.json").read_text())[0][0]["epoch"] == 0
    assert not list(tmp_path.glob("*.part"))

    # Who chose is seen from now on; who was kept apart is not.
    seen = set(card["training_data"]["patients_seen"])
    salt = card["training_data"]["digest"]
    chosen_by, measured_on = split_patients(held_out, 0.5)
    assert {pseudonym(name, salt) for name in chosen_by} <= seen
    assert not {pseudonym(name, salt) for name in measured_on} & seen
    assert set(parent.manifest.card["training_data"]["patients_seen"]) < seen


def test_the_gate_is_carried_on(make_cohort: MakeCohort, tmp_path: Path) -> None:
    root = make_parent(tmp_path / "parent", make_cohort(), members=2)
    (root / "gate").mkdir()
    files = []
    for name in (GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME):
        (root / "gate" / name).write_bytes(name.encode())
        files.append(file_of(root, f"gate/{name}"))
    gate = GateEntry(tuple(files), 0.5, 0.9, ("head", "other"), (0.5, 0.5))
    write_manifest(root, replace(Bundle.load(root).manifest, gate=gate))
    make_top(Derivation(Bundle.load(root), tmp_path / "top", "top"), 1, "validation")
    made = Bundle.load(tmp_path / "top")
    assert made.manifest.gate == gate
    assert (made.root / "gate" / GRAPH_NAME).read_bytes() == GRAPH_NAME.encode()


def test_by_validation_the_best_epoch_at_full_size_counts(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    root = make_parent(tmp_path / "parent", make_cohort(), members=3)
    write_json(
        root / "report" / "history.json",
        [
            [_epoch(32, 0.99, 0.1), _epoch(64, 0.5, 0.2)],
            [_epoch(64, 0.8, 0.9), _epoch(64, 0.7, 0.1)],
            [_epoch(64, 0.8, 0.3)],
        ],
    )
    parent = Bundle.load(root)
    assert [number for number, _ in rank_by_validation(parent)] == [2, 1, 0]
    make_top(Derivation(parent, tmp_path / "top", "top"), 2, "validation")
    made = Bundle.load(tmp_path / "top")
    assert [member.name for member in made.manifest.members] == ["02", "01"]
    assert "2 of 3 members" in made.manifest.card["limits"][-1]


def _epoch(size_px: int, accuracy: float, loss: float) -> dict[str, float]:
    return {
        "epoch": 0,
        "size_px": size_px,
        "validation_accuracy": accuracy,
        "validation_loss": loss,
    }


def test_what_cannot_choose_is_refused_before_anything_is_written(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    trained = make_cohort()
    parent = Bundle.load(make_parent(tmp_path / "parent", trained, members=2))
    held_out = make_cohort("held-out", seed=5)
    cases: list[tuple[tuple[object, ...], str]] = [
        ((3, "log-loss", held_out), "the bundle has 2"),
        ((1, "luck", held_out), "chosen by one of"),
        ((1, "log-loss", None), "needs patients that trained nothing"),
        ((1, "validation", held_out), "leave --cache out"),
        ((1, "log-loss", trained), "were trained on"),
        ((1, "log-loss", make_cohort("odd", labels=("blank", "rows"), seed=6)), "other labels"),
    ]
    for how, said in cases:
        with pytest.raises(InputError, match=said):
            make_top(Derivation(parent, tmp_path / "top", "top"), *how)  # type: ignore[arg-type]
    (parent.root / "report" / "history.json").unlink()
    with pytest.raises(InputError, match="does not tell how members were validated"):
        make_top(Derivation(parent, tmp_path / "top", "top"), 1, "validation")
    assert not (tmp_path / "top").exists()
