"""What is familiar is learnt from patients that trained nothing, and measured on others still."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from neurosono.calibration.familiarity import (
    FOLDS,
    Look,
    Pictures,
    _check_features,
    add_familiarity,
    deal_owners,
    fit_familiarity,
    look_at,
)
from neurosono.calibration.unlike import draw_unlike
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.familiarity import open_familiarity
from neurosono.engine.members import load_ensemble
from neurosono.scripts.calibrate import calibrate
from tests.calibration.conftest import write_cache

EARLY = 28
"""Of 44 features, as of a ResNet34 of 2 channels."""


def make_look(count: int, level: float, seed: int, per_owner: int = 4) -> Look:
    rng = np.random.default_rng(seed)
    features = np.exp(rng.normal(level, 0.2, (count, 2, 44)) + rng.normal(0, 0.1, (count, 1, 1)))
    owners = np.array([f"{seed}-{number // per_owner}" for number in range(count)])
    return Look(features.astype(np.float32), owners)


def test_no_owner_stands_in_two_folds() -> None:
    owners = np.repeat([f"p{number}" for number in range(23)], 3)
    folds = deal_owners(owners)
    assert len({(owner, fold) for owner, fold in zip(owners, folds, strict=True)}) == 23
    assert set(folds) == set(range(FOLDS))


def test_own_frames_of_others_pass_and_another_kind_does_not() -> None:
    fitted, card = fit_familiarity(make_look(400, 0.0, 1), make_look(200, 0.5, 2), EARLY)
    assert card["own"]["refused"] <= 0.02
    low, high = card["own"]["interval_95"]
    assert low <= card["own"]["refused"] <= high
    assert card["unlike"]["refused"] > 0.95
    assert (fitted.measure(make_look(400, 0.0, 3).features) > 1).mean() < 0.04
    assert (fitted.measure(make_look(400, 0.5, 4).features) > 1).mean() > 0.95
    alone = make_look(400, 0.0, 3).features[:, :1]
    assert (fitted.measure(alone) > 1).mean() < 0.04, "one member has limits of its own"


def test_it_is_fitted_alike_every_time() -> None:
    looks = make_look(100, 0.0, 1), make_look(60, 0.4, 2)
    one, other = fit_familiarity(*looks, EARLY)[0], fit_familiarity(*looks, EARLY)[0]
    np.testing.assert_array_equal(one.plane, other.plane)
    np.testing.assert_array_equal(one.limits, other.limits)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(InputError, match="5 patients of familiar pictures"):
        fit_familiarity(make_look(16, 0.0, 1), make_look(60, 0.4, 2), EARLY)
    with pytest.raises(InputError, match="5 patients of unlike pictures"):
        fit_familiarity(make_look(60, 0.0, 1), make_look(16, 0.4, 2), EARLY)


def test_made_pictures_are_many_kinds_and_the_same_every_time() -> None:
    made = draw_unlike(24, 64)
    assert made.shape == (24, 64, 64)
    assert made.dtype == np.uint8
    assert len({picture.tobytes() for picture in made}) == 24
    np.testing.assert_array_equal(made, draw_unlike(24, 64))


def test_a_bundle_knows_its_own_kind_and_carries_it(bundle: Bundle, held_out: Cache) -> None:
    assert open_familiarity(bundle) is None
    card = add_familiarity(bundle, held_out, None)
    found = Bundle.load(bundle.root)
    assert found.manifest.digest != bundle.manifest.digest
    assert found.manifest.familiarity is not None
    assert found.manifest.familiarity.card == json.loads(json.dumps(card))
    familiarity = open_familiarity(found)
    assert familiarity is not None
    backend = TorchBackend(load_ensemble(found))
    others = write_cache(bundle.root.parent / "others", seed=7)
    own = look_at(backend, Pictures(others.frames, np.array(["x"] * len(others.rows))))
    strange = draw_unlike(60, 64, seed=9)
    unlike = look_at(backend, Pictures(strange, np.array(["y"] * 60)))
    assert (familiarity.measure(own.features) > 1).mean() < 0.2
    assert (familiarity.measure(unlike.features) > 1).mean() > 0.8


def test_an_altered_file_is_refused(bundle: Bundle, held_out: Cache) -> None:
    add_familiarity(bundle, held_out, None)
    with (bundle.root / "familiarity.npz").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=r"familiarity.npz .* is not what its manifest says"):
        Bundle.load(bundle.root)


def test_an_engine_without_early_features_is_refused(bundle: Bundle, held_out: Cache) -> None:
    wider = replace(bundle.manifest.members[0], width=0.25)
    other = replace(bundle.manifest, members=(wider, *bundle.manifest.members[1:]))
    with pytest.raises(InputError, match="gives 176 features, expected 352: it is of an earlier"):
        _check_features(replace(bundle, manifest=other), TorchBackend(load_ensemble(bundle)))
    assert open_familiarity(Bundle.load(bundle.root)) is None


def test_the_command_learns_it_with_a_cache_and_says_so_without(
    bundle: Bundle, held_out: Cache, tmp_path: Path
) -> None:
    app = Typer()
    app.command()(calibrate)
    given = [str(bundle.root), "--cache", str(held_out.root), "--alpha", "0.2"]
    done = CliRunner().invoke(app, [*given, "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out.json").read_text())["familiarity"]["own"]["patients"] == 24
    assert Bundle.load(bundle.root).manifest.familiarity is not None
    refused = CliRunner().invoke(app, [str(bundle.root), "--unlike", str(tmp_path)])
    assert isinstance(refused.exception, InputError)
    assert "--unlike needs frames of held-out patients" in str(refused.exception)
