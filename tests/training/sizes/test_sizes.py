import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from neurosono.calibration.reliability import measure_ece
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.members import load_ensemble
from neurosono.training.sizes.compare import (
    compare_bundles,
    compare_predictions,
    find_unseen,
    measure_cost,
)
from neurosono.training.sizes.derivation import Derivation
from neurosono.training.sizes.top import make_top
from tests.training.commands import run_train
from tests.training.sizes.parents import make_parent

MakeCohort = Callable[..., Cache]


def _say(said: list[int], targets: list[int], sure: float = 0.8) -> Predictions:
    """Return two-class exams, one frame each, that say `said`."""
    count = len(said)
    names = np.array([f"p{number:02d}" for number in range(count)])
    one = np.full(count, sure)
    chosen = np.stack([np.where(np.array(said) == label, one, 1 - one) for label in (0, 1)], 1)
    return Predictions(
        labels=("a", "b"),
        rows=np.arange(count),
        folds=np.full(count, -1),
        patients=names,
        exams=names,
        targets=np.array(targets),
        weeks=np.full(count, np.nan),
        sites=np.full(count, "", dtype=np.str_),
        probabilities=chosen,
    )


def test_pairs_are_compared_exactly() -> None:
    targets = [0] * 20
    reference = _say([0] * 16 + [1] * 4, targets)  # 16 right
    found = _say([0] * 9 + [1] * 7 + [0] * 2 + [1] * 2, targets)  # 11 right: 7 lost, 2 won
    row = compare_predictions(reference, found, measure_ece)
    assert (row["only_reference_right"], row["only_this_right"]) == (7, 2)
    assert row["mcnemar_p"] == pytest.approx(binomtest(2, 9).pvalue)
    assert row["difference"] == pytest.approx(-5 / 20)
    low, high = row["difference_95"]
    assert low < -5 / 20 < high < 0.1
    assert row["same_exams"] == row["same_frames"] == pytest.approx(11 / 20)
    assert row["max_difference"] == pytest.approx(0.6)
    assert row["mean_difference"] == pytest.approx(0.6 * 9 / 20)
    assert row["exam_ece"] == pytest.approx(0.8 - 11 / 20)


def test_a_bundle_beside_itself_differs_in_nothing(make_cohort: MakeCohort, tmp_path: Path) -> None:
    parent = Bundle.load(make_parent(tmp_path / "parent", make_cohort(), members=2))
    unseen = make_cohort("unseen", seed=5)
    make_top(Derivation(parent, tmp_path / "top", "top", "first"), 1, "validation")
    found = compare_bundles([parent, parent, Bundle.load(tmp_path / "top")], unseen, measure_ece)
    assert found["notice"] == NOTICE
    assert (found["patients"], found["exams"], found["frames"]) == (12, 12, 48)
    _, same, top = found["bundles"]
    assert same["max_difference"] == 0
    assert (same["same_frames"], same["mcnemar_p"], same["difference"]) == (1, 1, 0)
    assert (top["name"], top["method"], top["members"]) == ("first", "top", 1)
    assert top["max_difference"] > 0
    assert top["multiply_adds"] * 2 == same["multiply_adds"]
    assert not any(name in json.dumps(found) for name in unseen.label_of_patient)


def test_costs_are_counted_not_guessed(make_cohort: MakeCohort, tmp_path: Path) -> None:
    parent = Bundle.load(make_parent(tmp_path / "parent", make_cohort(), members=2))
    cost = measure_cost(parent)
    ensemble = load_ensemble(parent)
    assert cost.parameters == sum(each.numel() for each in ensemble.parameters())
    on_disk = sum(path.stat().st_size for path in (parent.root / "members").iterdir()) / 1e6
    assert cost.megabytes == pytest.approx(on_disk, rel=0.1)
    # The first convolution alone: 7 x 7 x 3 weights for each of 8 channels at 32 x 32 places.
    assert cost.multiply_adds > 2 * 7 * 7 * 3 * 8 * 32 * 32


def test_the_papers_member_costs_what_is_published(make_cohort: MakeCohort, tmp_path: Path) -> None:
    from dataclasses import replace

    from neurosono.engine.contracts.manifest import Member
    from neurosono.engine.contracts.preprocessing import PreprocessingSpec

    small = Bundle.load(make_parent(tmp_path / "parent", make_cohort(), members=1))
    whole = replace(small.manifest, members=(Member("00", 1.0),), preprocessing=PreprocessingSpec())
    cost = measure_cost(replace(small, manifest=whole))
    # He et al. 2016, table 1: 3.6e9 multiply-adds for 34 layers; 21.3 million weights less fc.
    assert cost.multiply_adds == pytest.approx(3.6e9, rel=0.03)
    assert cost.parameters == pytest.approx(21.3e6, rel=0.01)


def test_only_patients_that_none_has_seen_are_judged(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache, unseen = make_cohort(), make_cohort("unseen", seed=5)
    parent = Bundle.load(make_parent(tmp_path / "parent", cache, members=2))
    make_top(Derivation(parent, tmp_path / "top", "top"), 1, cache=unseen)
    top = Bundle.load(tmp_path / "top")
    with pytest.raises(InputError, match="6 patients of this cache were trained on"):
        find_unseen([parent, top], unseen)
    rows = find_unseen([parent, top], unseen, leave_out_seen=True)
    left = {pseudonym(unseen.rows[row].patient, cache.digest) for row in rows}
    assert len(left) == 6
    assert not left & set(top.manifest.card["training_data"]["patients_seen"])
    with pytest.raises(InputError, match=r"every patient of .* was seen"):
        find_unseen([parent], cache, leave_out_seen=True)


def test_the_commands_make_and_compare_three_sizes(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache, unseen = make_cohort(), make_cohort("unseen", seed=5)
    parent = make_parent(tmp_path / "parent", cache, members=2)
    recipe = tmp_path / "r.toml"
    recipe.write_text('weights = "random"\nbatch = 8\nvalidation_share = 0.4\n')
    made = {
        "top": ("--members", 1, "--by", "validation"),
        "soup": ("--cache", cache.root),
        "student": ("--cache", cache.root, "--recipe", recipe, "--epochs", 1),
    }
    for verb, words in made.items():
        report = tmp_path / f"{verb}.json"
        code, said = run_train(verb, parent, "--out", tmp_path / verb, *words, "--json", report)
        assert code == 0, said
        assert json.loads(report.read_text())
    bundles = [parent, *(tmp_path / verb for verb in made)]
    out = tmp_path / "compared.json"
    code, said = run_train("compare", *bundles, "--cache", unseen.root, "--json", out)
    assert code == 0, said
    assert NOTICE in said
    found = json.loads(out.read_text())
    assert [each["method"] for each in found["bundles"]] == [None, "top", "soup", "student"]
    assert [each["members"] for each in found["bundles"]] == [2, 1, 1, 1]
    assert run_train("compare", *bundles, "--cache", cache.root)[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("top", "nowhere", "--members", 1, "--out", "b"), "no bundle at nowhere"),
        (("soup", "nowhere", "--out", "b"), "no bundle at nowhere"),
        (("student", "nowhere", "--cache", "c", "--out", "b"), "no bundle at nowhere"),
        (("compare", "nowhere", "--cache", "c"), "no bundle at nowhere"),
        (("top", "demo", "--members", 0, "--out", "b"), "--members"),
        (("soup", "demo", "--out", "b"), "inside its engines only"),
    ],
)
def test_bad_input_exits_2_and_writes_nothing(
    words: tuple[object, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = run_train(*words)
    assert code == 2
    assert said in found
    assert list(tmp_path.iterdir()) == []
