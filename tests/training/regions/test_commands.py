"""`train regions`, as a user runs it: pairs, a run, a bundle, and what it says of other pairs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.kinds import find_kind
from neurosono.engine.regions.names import PLANES
from neurosono.scripts.commands import make_app
from neurosono.training.detect.data import SIZE_PX
from neurosono.training.regions.data import PairData
from neurosono.training.regions.evaluate import examine
from neurosono.training.regions.run import read_judged
from tests.support.structures import make_structures_bundle


def invoke(*words: object) -> None:
    result = CliRunner().invoke(make_app(), ["train", "regions", *map(str, words)])
    if result.exception is not None:
        raise result.exception


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare two sets of pairs with a detector that is written down, train, and ship."""
    root = tmp_path_factory.mktemp("regions")
    finder = make_structures_bundle(root / "finder", size_px=SIZE_PX, held_head=True)
    for name, seed in (("pairs", 1), ("others", 2)):
        told = ("--pairs", "7:7", "--views", 1, "--seed", seed, "--json", root / f"{name}.json")
        invoke("prepare", "--out", root / name, "--finder", finder, *told)
    invoke("run", root / "pairs", "--out", root / "run", "--folds", 2, "--steps", 3)
    others = ("--tuning", root / "others", "--unlike", root / "pairs")
    invoke("ship", root / "run", *others, "--finder", finder, "--out", root / "bundle")
    return root


def test_pairs_are_women_with_both_planes(made: Path) -> None:
    data, told = PairData.load(made / "pairs"), read(made / "pairs.json")
    assert told["women"] == 14
    assert told["abnormal"] == 7
    assert len(data.rows) == told["pictures"] == 42
    assert sum(row.plane == "other-head" for row in data.rows) == 14
    for pair in data.pairs:
        assert {data.rows[row].plane for rows in pair.rows.values() for row in rows} == set(PLANES)
        assert pair.abnormal == (pair.finding != "none")
    assert all(row.truth.head is not None for row in data.rows)


def test_another_detector_looks_at_the_same_pictures(made: Path, tmp_path: Path) -> None:
    again = ("--again", made / "pairs", "--finder", made / "finder")
    invoke("prepare", "--out", tmp_path / "again", *again)
    assert PairData.load(tmp_path / "again").digest == PairData.load(made / "pairs").digest
    joined = (*again, "--again", made / "others")
    invoke("prepare", "--out", tmp_path / "joined", *joined)
    assert len(PairData.load(tmp_path / "joined").pairs) == 28
    with pytest.raises(InputError, match="is in two of the prepared pairs"):
        invoke("prepare", "--out", tmp_path / "twice", *again, "--again", made / "pairs")
    with pytest.raises(InputError, match="one of the two"):
        invoke("prepare", "--out", tmp_path / "both", *again, "--real", tmp_path)


def test_each_woman_is_judged_by_the_fold_that_held_her_out(made: Path) -> None:
    judged = read_judged(made / "run")
    women = [each.patient for each in PairData.load(made / "pairs").pairs]
    assert sorted(each.patient for each in judged) == sorted(women)


def test_a_run_goes_on_and_is_not_begun_anew_by_another_recipe(made: Path) -> None:
    before = (made / "run" / "everyone.safetensors").read_bytes()
    same = ("run", made / "pairs", "--out", made / "run", "--folds", 2)
    invoke(*same, "--steps", 3)
    assert (made / "run" / "everyone.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="another recipe"):
        invoke(*same, "--steps", 4)


def test_the_bundle_says_what_it_is_and_judges_other_women(made: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(made / "bundle", kind="regions")
    card = bundle.manifest.card
    assert "phantom" in card["intended_use"]
    assert card["operating_point"]["women"] <= 14
    assert set(card["familiarity"]) == set(PLANES)
    report = ("--out", tmp_path / "report", "--json", tmp_path / "found.json")
    told = ("--bundle", made / "bundle", "--cache", made / "others")
    invoke("evaluate", made / "run", *told, *report)
    found = read(tmp_path / "found.json")
    assert found["arms"]["both"]["women"] == 14
    each = found["bundles"]["others"]
    assert sum(each["states"].values()) == each["women"] == 14
    assert (tmp_path / "report" / "index.html").is_file()


def test_what_is_trained_is_what_runs(made: Path) -> None:
    """The exam adds up what each picture's regions speak for, frame by frame."""
    bundle, data = Bundle.load(made / "bundle", kind="regions"), PairData.load(made / "others")
    exams = examine(bundle, data, data.pairs)
    again = examine(bundle, data, data.pairs)
    assert [each.exam for each in exams] == [each.exam for each in again]
    spoken = [
        region["contribution"]
        for each in exams
        for region in each.exam["regions"].values()
        if region["contribution"] is not None
    ]
    assert all(np.isfinite(spoken))
    assert find_kind(bundle).open(bundle, 1).describe()["precision"] == "f32"


def test_only_regions_of_both_planes_are_shipped(made: Path, tmp_path: Path) -> None:
    told = ("--folds", 2, "--steps", 1, "--arm", "whole")
    invoke("run", made / "pairs", "--out", tmp_path / "whole", *told)
    others = ("--tuning", made / "others", "--unlike", made / "pairs")
    with pytest.raises(InputError, match="ship one that learnt `both`"):
        invoke(
            *("ship", tmp_path / "whole", *others, "--finder", made / "finder"),
            *("--out", tmp_path / "bundle"),
        )


def test_what_cannot_be_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no regions' data"):
        invoke("run", tmp_path, "--out", tmp_path / "run")
    with pytest.raises(InputError, match="an arm is one of"):
        invoke("run", made / "pairs", "--out", tmp_path / "run", "--arm", "three")
    with pytest.raises(InputError, match="name runs, or a --bundle"):
        invoke("evaluate", "--out", tmp_path / "report")
    with pytest.raises(InputError, match="holds no run"):
        invoke("evaluate", tmp_path, "--out", tmp_path / "report")
