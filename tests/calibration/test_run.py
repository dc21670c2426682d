import json
from dataclasses import replace

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from calibration.engines import add_int8, drop_members
from calibration.parity import LIMITS, Limits, Parity, check_parity
from calibration.quantise import draw_rows
from calibration.run import calibrate_bundle, judge_unseen
from engine.backends.torch import TorchBackend
from engine.bundle import Bundle, write_manifest
from engine.choice import open_engine
from engine.contracts.cache import Cache, pseudonym
from engine.contracts.errors import InputError, NeurosonoError
from engine.members import load_ensemble
from scripts.calibrate import calibrate


def _judge(bundle: Bundle, cache: Cache):
    return judge_unseen(bundle, cache, TorchBackend(load_ensemble(bundle)))


def test_a_bundle_is_calibrated_on_unseen_patients(bundle: Bundle, held_out: Cache) -> None:
    before = bundle.manifest.digest
    fitted = calibrate_bundle(bundle, _judge(bundle, held_out), 0.2, "unseen patients")
    found = Bundle.load(bundle.root)
    assert found.calibration == fitted.calibration
    assert found.calibration.exams == 24
    assert found.manifest.digest != before, "another calibration is another model"
    report = json.loads((bundle.root / "report" / "calibration.json").read_text())
    assert report["after"]["frames"]["nll"] <= report["before"]["frames"]["nll"] + 1e-9
    assert found.manifest.card["metrics"]["calibration"]["patients"] == 24


def test_patients_that_were_trained_on_are_refused(bundle: Bundle, held_out: Cache) -> None:
    known = pseudonym(held_out.rows[0].patient, "salt")
    card = {"training_data": {"digest": "salt", "patients_seen": [known]}}
    seen = Bundle(bundle.root, replace(bundle.manifest, card=card), bundle.calibration)
    with pytest.raises(InputError, match="1 patients of this cache were trained on"):
        _judge(seen, held_out)


def test_a_cache_of_other_labels_is_refused(bundle: Bundle, held_out: Cache) -> None:
    with pytest.raises(InputError, match="other labels or preprocessing"):
        _judge(bundle, replace(held_out, labels=("bright", "dark")))


@pytest.mark.slow
def test_int8_is_close_to_float32_and_stands_without_the_members(
    bundle: Bundle, held_out: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network of an eighth's width, trained for 15 steps, is rougher than a real one.
    monkeypatch.setitem(LIMITS, "int8", Limits(0.1, 0.99))
    parity = add_int8(bundle, held_out)
    assert parity.exam_agreement == 1
    assert parity.frames == 24, "half of the patients; the others set the ranges"
    reference = _judge(bundle, held_out)

    drop_members(bundle.root, "for the test")
    shipped = Bundle.load(bundle.root)
    assert [member.file for member in shipped.manifest.members] == [None, None]
    assert shipped.manifest.card["members_left_out"] == "for the test"
    assert not list(bundle.root.rglob("*.safetensors"))
    engine = open_engine(shipped)
    assert (engine.backend.precision, engine.backend.members) == ("int8", 2)
    found = judge_unseen(shipped, held_out, engine.backend)
    assert np.abs(found.probabilities - reference.probabilities).max() < 0.1
    assert not list(bundle.root.glob(".int8-*"))


@pytest.mark.slow
def test_an_engine_over_its_limits_leaves_the_bundle_as_it_was(
    bundle: Bundle, held_out: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "int8", Limits(0.0, 1.0))
    before = sorted(path.name for path in bundle.root.rglob("*"))
    with pytest.raises(InputError, match="int8 is over its limits"):
        add_int8(bundle, held_out)
    after = sorted(path.name for path in bundle.root.rglob("*") if path.name != "engines")
    assert after == before
    assert Bundle.load(bundle.root).manifest.engines == ()


def test_members_are_not_dropped_without_an_engine(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="build one first"):
        drop_members(bundle.root, "why not")
    assert Bundle.load(bundle.root).manifest.members[0].file is not None


@pytest.mark.parametrize(
    "parity",
    [
        Parity(100, 10, 0.06, 0.0, 1.0, 1.0),
        Parity(100, 10, 0.0, 0.0, 0.98, 1.0),
        Parity(100, 10, 0.0, 0.0, 1.0, 0.9),
    ],
)
def test_each_limit_refuses(parity: Parity) -> None:
    check_parity(Parity(100, 10, 0.05, 0.0, 0.99, 1.0), "int8")
    with pytest.raises(InputError, match="over its limits"):
        check_parity(parity, "int8")


def test_rows_are_drawn_by_patient(held_out: Cache) -> None:
    draw = draw_rows(held_out, frames=10, seed=3)
    assert len(draw.quantise) == 10
    one, other = (
        {held_out.rows[row].patient for row in rows} for rows in (draw.quantise, draw.check)
    )
    assert not one & other
    assert {held_out.targets[row] for row in draw.check} == {0, 1}
    assert len(other) == 12


def _command(*words: object) -> tuple[int, str]:
    app = Typer()
    app.command()(calibrate)
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, NeurosonoError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def test_the_command_calibrates_and_tells_its_errors(bundle: Bundle, held_out: Cache) -> None:
    assert _command(bundle.root, "--int8") == (
        2,
        "--int8 needs frames of held-out patients: name their --cache",
    )
    code, said = _command(bundle.root)
    assert (code, "no predictions at" in said) == (2, True)
    code, said = _command(bundle.root, "--cache", held_out.root, "--alpha", 0.001)
    assert (code, "held-out exams or more" in said) == (2, True)
    code, said = _command("nowhere")
    assert (code, "no bundle at nowhere" in said) == (2, True)
    write_manifest(bundle.root, bundle.manifest)
    code, said = _command(bundle.root, "--cache", held_out.root, "--alpha", 0.2)
    assert code == 0, said
    assert Bundle.load(bundle.root).manifest.card["metrics"]["unseen"]["patients"] == 24
