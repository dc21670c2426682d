"""A gate is made from data to folder, measured on patients it had not seen, and taken up again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.gate import Gate
from neurosono.engine.gate_folder import add_gate, read_entry
from neurosono.training.gate.data import GateData, write_gate_data
from neurosono.training.gate.evaluate import evaluate_gate
from neurosono.training.gate.familiarity import fit_ranks, fit_whitening, measure
from neurosono.training.gate.leave_out import leave_out, name_groups, share_networks
from neurosono.training.gate.metrics import NEVER, Answers, choose_plane_limits, describe_gate
from neurosono.training.gate.run import GateRun
from neurosono.training.gate.train import PLANES, GateRecipe
from neurosono.training.squares import PHANTOM
from tests.support.bundles import make_bundle
from tests.training.gate.gate_pictures import draw, draw_all

RECIPE = GateRecipe(batches=25, rounds=1, batch=16, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> GateData:
    return write_gate_data(tmp_path_factory.mktemp("gate") / "data", draw_all(), ["a clinic"])


@pytest.fixture(scope="module")
def gate(data: GateData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "gate"
    GateRun(data, out, RECIPE, folds=2).make(lambda *_: None)
    return out


def test_a_gate_learns_what_it_is_shown_and_says_how_well(
    gate: Path, data: GateData, tmp_path: Path
) -> None:
    entry = read_entry(gate)
    assert sum(path.stat().st_size for path in gate.iterdir()) < 6_000_000
    assert entry.planes == PLANES
    held_out = entry.card["held_out"]
    assert held_out["real"]["auroc_by_patient"] > 0.9
    assert held_out["real"]["heads_and_spines_refused"]["frames"] == 12
    assert held_out["phantom"]["planes"]["frames"] == 12
    assert entry.card["attribution"] == ["a clinic"]
    assert "not for diagnosis" in entry.card["limits"][0]
    assert not any("clinic:" in text for text in json.dumps(entry.card).split('"'))
    root = make_bundle(tmp_path / "bundle", members=1)
    opened = Gate.open(add_gate(root, gate))
    assert opened is not None
    rng = np.random.default_rng(77)
    heads = [opened.judge(draw("head", rng)).score for _ in range(10)]
    others = [opened.judge(draw("other", rng)).score for _ in range(10)]
    assert roc_auc_score([1] * 10 + [0] * 10, heads + others) > 0.9
    figures = evaluate_gate(str(root), data)
    assert figures["real"]["others_refused"]["frames"] == 12  # type: ignore[index]


def test_a_killed_run_goes_on_with_the_networks_it_had(data: GateData, tmp_path: Path) -> None:
    trained: list[str] = []

    class KilledError(Exception):
        pass

    def die(name: str, *_: object) -> None:
        trained.append(name)
        if name == "fold-1-0":
            raise KilledError

    job = GateRun(data, tmp_path / "gate", GateRecipe(batches=1, rounds=1, batch=8), folds=2)
    with pytest.raises(KilledError):
        job.make(die)
    job.make(lambda name, *_: trained.append(name))
    assert trained == ["fold-0-0", "fold-1-0", "fold-1-0", "all-0"]
    assert not (tmp_path / "gate.parts").exists()
    with pytest.raises(OutputError, match="is there already"):
        job.make(die)


def test_more_folds_than_patients_are_refused(data: GateData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="6 patients cannot be dealt into 7 folds"):
        GateRun(data, tmp_path / "gate", RECIPE, folds=7).make(lambda *_: None)


def test_a_bundle_without_a_gate_cannot_be_measured(bundle_root: Path, data: GateData) -> None:
    assert Gate.open(Bundle.load(bundle_root)) is None
    with pytest.raises(InputError, match="train gate add"):
        evaluate_gate(str(bundle_root), data)


def test_figures_count_by_patient_by_source_and_by_reason(data: GateData) -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(len(data.rows))
    scores = np.round(np.where(data.positive, 0.6, 0.4) + rng.normal(0, 0.15, len(rows)), 2)
    unfamiliarity = np.where(rows == 0, 1.0, 0.5)
    scores[0] = 0.9
    answers = Answers(rows, scores, unfamiliarity, np.eye(len(PLANES))[np.zeros(len(rows), int)])
    found = describe_gate(data, answers, 0.5, 0.9, (0.5,) * len(PLANES))
    real = data.real
    expected = roc_auc_score(data.positive[real], scores[real])
    assert found["real"]["auroc_by_frame"] == pytest.approx(expected)
    refused = int((scores[real & data.positive] < 0.5).sum()) + 1
    heads = found["real"]["by_source"]["clinic/head"]
    assert (heads["frames"], heads["refused"], heads["unfamiliar"]) == (12, refused, 1)
    planes = found["phantom"]["planes"]
    assert (planes["frames"], planes["named"], planes["accuracy_of_named"]) == (12, 12, 1.0)


def test_a_plane_is_named_only_where_it_is_right_nine_times_in_ten(data: GateData) -> None:
    rows = np.flatnonzero(~data.real & data.positive).repeat(10)
    rng = np.random.default_rng(0)
    first = np.where(np.arange(len(rows)) < 60, 0.9, 0.6) + rng.uniform(0, 0.05, len(rows))
    planes = np.full((len(rows), len(PLANES)), 0.01)
    wrong = (np.arange(len(rows)) >= 60) & (rng.random(len(rows)) < 0.6)
    planes[np.arange(len(rows)), np.where(wrong, 1, 0)] = first
    nothing = np.zeros(len(rows))
    limits = choose_plane_limits(data, Answers(rows, nothing, nothing, planes))
    assert 0.6 < limits[0] < 0.91
    assert limits[1:] == (NEVER,) * 4


def test_distances_grow_away_from_every_group_and_rank_by_the_stricter_kind() -> None:
    rng = np.random.default_rng(0)
    groups = np.array(["a", "b"] * 200)
    features = rng.normal(0, [1.0, 5.0, 0.1], (400, 3)) + (groups == "b")[:, None] * 20.0
    placed = fit_whitening(features, groups)
    near, far = measure(*placed, np.array([[0.0, 0, 0], [20.0, 20, 20], [0, 0, 3]])).reshape(-1)[
        [0, 2]
    ]
    assert near < 0.5
    assert far > 10
    distances, shares = fit_ranks(np.linspace(0, 1, 101), np.linspace(0, 2, 101))
    assert np.interp(1.0, distances, shares) == pytest.approx(0.5, abs=0.02)
    assert shares[-1] == 1.0


def test_each_source_or_machine_is_left_out_with_its_patients(
    data: GateData, tmp_path: Path
) -> None:
    rows = [
        replace(row, patient=f"{'east' if number % 3 else 'west'}:{row.path}", machine="")
        if row.source != PHANTOM
        else row
        for number, row in enumerate(data.rows)
    ]
    rows[0] = replace(rows[0], machine="one")
    known = replace(data, rows=tuple(rows))
    assert set(name_groups(known, "source")) == {"", "east", "west"}
    with pytest.raises(InputError, match="fewer than two machines"):
        name_groups(known, "machine")
    with pytest.raises(InputError, match="--by must be one of"):
        name_groups(known, "hospital")
    trained: list[str] = []
    job = GateRun(known, tmp_path / "work", replace(RECIPE, batches=8))
    found = leave_out(job, "source", lambda name, *_: trained.append(name))
    assert set(found["groups"]) == {"east", "west"}
    assert {name.rpartition("-")[0] for name in trained} == {
        *("without-source-east", "without-source-west")
    }
    pooled = found["pooled"]
    frames = pooled["heads_and_spines_refused"]["frames"], pooled["others_refused"]["frames"]
    assert frames == (12, 12), "each real frame once, and no phantom"
    trained.clear()
    assert leave_out(job, "source", lambda name, *_: trained.append(name)) == found
    assert not trained, "finished networks are taken up"


def test_each_group_is_judged_at_a_threshold_that_only_the_others_chose(
    data: GateData, tmp_path: Path
) -> None:
    rows = [
        replace(row, patient=f"{'east' if number % 3 else 'west'}:{row.path}")
        if row.source != PHANTOM
        else row
        for number, row in enumerate(data.rows)
    ]
    job = GateRun(replace(data, rows=tuple(rows)), tmp_path / "work", replace(RECIPE, batches=8))
    found = leave_out(job, "source", lambda *_: None)
    for group in found["groups"].values():
        even, chosen = group["heads_and_spines_refused"], group["chosen"]
        assert chosen["auroc_by_patient"] == group["auroc_by_patient"]
        more = chosen["heads_and_spines_refused"]["refused"] - even["refused"]
        assert more * (group["threshold"] - 0.5) >= 0, "a lower threshold refuses no more"
    refused = sum(g["chosen"]["others_refused"]["refused"] for g in found["groups"].values())
    assert found["pooled"]["chosen"]["others_refused"]["refused"] == refused


def test_small_groups_are_left_out_together() -> None:
    names = np.array(["large"] * 90 + ["lesser"] * 6 + ["tiny"] * 2 + ["least"] + [""] * 40)
    assert share_networks(names) == {
        "large": ["large"],
        "lesser": ["lesser"],
        "least+tiny": ["least", "tiny"],
    }
    assert share_networks(names[:96]) == {"large": ["large"], "lesser": ["lesser"]}
