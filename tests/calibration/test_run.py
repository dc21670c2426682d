import json
from dataclasses import replace

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from neurosono.calibration.engines import add_int8, check_engines, drop_members
from neurosono.calibration.fit import Wishes
from neurosono.calibration.parity import compare, describe_limits, measure_cost
from neurosono.calibration.quantise import draw_rows
from neurosono.calibration.run import calibrate_bundle, judge_unseen
from neurosono.engine.backends.openvino import save
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.build import enter_engine
from neurosono.engine.builders.openvino import convert
from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError, NeurosonoError
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.members import load_ensemble
from neurosono.engine.parity import LIMITS, Limits
from neurosono.scripts.calibrate import calibrate
from neurosono.training.versus import compare as compare_bundles


def _judge(bundle: Bundle, cache: Cache):
    return judge_unseen(bundle, cache, TorchBackend(load_ensemble(bundle)))


def test_a_bundle_is_calibrated_on_unseen_patients(bundle: Bundle, held_out: Cache) -> None:
    before = bundle.manifest.digest
    fitted = calibrate_bundle(bundle, _judge(bundle, held_out), Wishes(0.2), "unseen patients")
    found = Bundle.load(bundle.root)
    assert found.calibration == fitted.calibration
    assert found.calibration.exams == 24
    assert found.manifest.digest != before, "another calibration is another model"
    report = json.loads((bundle.root / "report" / "calibration.json").read_text())
    assert report["after"]["frames"]["nll"] <= report["before"]["frames"]["nll"] + 1e-9
    assert found.manifest.card["metrics"]["calibration"]["patients"] == 24
    assert "Investigational" in (bundle.root / "report" / "calibration.html").read_text()


def test_patients_that_were_trained_on_are_refused(bundle: Bundle, held_out: Cache) -> None:
    known = pseudonym(held_out.rows[0].patient, "salt")
    card = {"training_data": {"digest": "salt", "patients_seen": [known]}}
    seen = Bundle(bundle.root, replace(bundle.manifest, card=card), bundle.calibration)
    with pytest.raises(InputError, match="1 patients of this cache were trained on"):
        _judge(seen, held_out)


def test_bundles_of_other_training_data_name_a_patient_alike(
    bundle: Bundle, held_out: Cache
) -> None:
    """Without it `train versus` would take one cache's patients for others."""
    other = Bundle(
        bundle.root,
        replace(bundle.manifest, card={"training_data": {"digest": "other"}}),
        bundle.calibration,
    )
    named = [
        judge_unseen(each, held_out, TorchBackend(load_ensemble(each)), held_out.digest)
        for each in (bundle, other)
    ]
    found = compare_bundles([("one", named[0]), ("other", named[1])], "dark")
    assert found["exams"]["other"]["less_first"]["auroc"]["value"] == 0
    own = [_judge(each, held_out) for each in (bundle, other)]
    assert not set(own[0].patients) & set(own[1].patients)


def test_a_cache_of_other_labels_is_refused(bundle: Bundle, held_out: Cache) -> None:
    with pytest.raises(InputError, match="other labels or preprocessing"):
        _judge(bundle, replace(held_out, labels=("bright", "dark")))


@pytest.mark.slow
def test_int8_is_close_to_float32_and_stands_without_the_members(
    bundle: Bundle, held_out: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network of an eighth's width that hardly learnt is rougher than a real one.
    monkeypatch.setitem(LIMITS, "int8", Limits(0.25, 0.8))
    parity = add_int8(bundle, held_out)
    assert parity["exam_agreement"] == 1
    assert parity["frames"] == 24, "half of the patients; the others set the ranges"
    assert parity["limit_max_difference"] == 0.25
    assert {"exam_ece", "exam_ece_f32", "frame_nll", "coverage", "set_size"} <= set(parity)
    assert Bundle.load(bundle.root).manifest.engines[0].parity == parity
    reference = _judge(bundle, held_out)

    drop_members(bundle.root, "for the test")
    shipped = Bundle.load(bundle.root)
    assert [member.file for member in shipped.manifest.members] == [None, None]
    assert shipped.manifest.card["members_left_out"] == "for the test"
    assert not list(bundle.root.rglob("*.safetensors"))
    engine = open_engine(shipped)
    assert (engine.backend.precision, engine.backend.members) == ("int8", 2)
    found = judge_unseen(shipped, held_out, engine.backend)
    assert np.abs(found.probabilities - reference.probabilities).max() < 0.25
    assert not list(bundle.root.glob(".int8-*"))


@pytest.mark.slow
def test_an_engine_over_its_limits_leaves_the_bundle_as_it_was(
    bundle: Bundle, held_out: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "int8", Limits(0.0, 1.0))
    before = sorted(path.name for path in bundle.root.rglob("*"))
    with pytest.raises(InputError, match="int8 engine is over its limits"):
        add_int8(bundle, held_out)
    after = sorted(path.name for path in bundle.root.rglob("*") if path.name != "engines")
    assert after == before
    assert Bundle.load(bundle.root).manifest.engines == ()


def test_members_are_not_dropped_without_an_engine(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="build one first"):
        drop_members(bundle.root, "why not")
    assert Bundle.load(bundle.root).manifest.members[0].file is not None


def _add_openvino(bundle: Bundle, precision: str) -> None:
    name = f"engines/openvino-{precision}"
    save(convert(load_ensemble(bundle), 64), bundle.root / name, precision)
    files = tuple(file_of(bundle.root, f"{name}/model.{kind}") for kind in ("bin", "xml"))
    enter_engine(Bundle.load(bundle.root), EngineEntry("openvino", precision, 2, files))


def test_every_engine_is_compared_and_its_cost_noted(bundle: Bundle, held_out: Cache) -> None:
    reference = _judge(bundle, held_out)
    _add_openvino(bundle, "f32")
    found = check_engines(Bundle.load(bundle.root), reference, held_out)
    noted = Bundle.load(bundle.root).manifest.engines[0].parity
    assert found == {"f32": noted}
    assert noted["max_difference"] <= 1e-4
    assert noted["frames"] == 48
    assert noted["exam_ece"] == pytest.approx(noted["exam_ece_f32"], abs=1e-4)
    assert noted["limit_max_difference"] == 1e-4


def test_an_engine_that_another_bundle_would_give_is_thrown_out(
    bundle: Bundle, held_out: Cache
) -> None:
    reference = _judge(bundle, held_out)
    _add_openvino(bundle, "f32")
    other = reference.with_probabilities(reference.probabilities[:, ::-1].copy())
    with pytest.raises(InputError, match="f32 engine is over its limits"):
        check_engines(Bundle.load(bundle.root), other, held_out)
    found = Bundle.load(bundle.root)
    assert found.manifest.engines == ()
    assert not (bundle.root / "engines" / "openvino-f32" / "model.xml").exists()


def test_what_an_engine_costs_is_counted_in_calibration(bundle: Bundle, held_out: Cache) -> None:
    reference = _judge(bundle, held_out)
    calibration = calibrate_bundle(bundle, reference, Wishes(0.2), "of").calibration
    same = measure_cost(reference, reference, calibration)
    assert (same["mean_difference"], same["exam_difference"], same["same_set"]) == (0, 0, 1)
    assert same["exam_nll"] == same["exam_nll_f32"]
    worse = reference.with_probabilities(1 - reference.probabilities)
    cost = measure_cost(reference, worse, calibration)
    assert cost["exam_nll"] > cost["exam_nll_f32"]
    assert cost["coverage"] < cost["coverage_f32"]
    assert compare(reference, worse).exam_agreement < 0.5
    assert describe_limits("bf16")["limit_top1_agreement"] == 0.995


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
    code, said = _command(bundle.root, "--cache", held_out.root, "--sensitivity", "high")
    assert (code, "--sensitivity must be" in said) == (2, True)
    code, said = _command(bundle.root, "--cache", held_out.root, "--method", "platt")
    assert (code, "--method must be" in said) == (2, True)
    code, said = _command("nowhere")
    assert (code, "no bundle at nowhere" in said) == (2, True)
    write_manifest(bundle.root, bundle.manifest)
    code, said = _command(bundle.root, "--cache", held_out.root, "--alpha", 0.2)
    assert code == 0, said
    assert Bundle.load(bundle.root).manifest.card["metrics"]["unseen"]["patients"] == 24
