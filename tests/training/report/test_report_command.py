"""`train report` and `train evaluate --report`, as a user types them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from tests.training.commands import run_train
from tests.training.conftest import write_cohort

SALT = "salt"


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cache, Cache]:
    folder = tmp_path_factory.mktemp("caches")
    seen, unseen = (
        write_cohort(folder / str(seed), patients=3, frames=2, labels=DEFAULT_LABELS, seed=seed)
        for seed in (1, 2)
    )
    return seen, unseen


@pytest.fixture
def bundle(tmp_path: Path, bundle_root: Path, caches: tuple[Cache, Cache]) -> Path:
    """Return a bundle that says it was trained on the first cache."""
    root = shutil.copytree(bundle_root, tmp_path / "bundle")
    manifest = Bundle.load(root).manifest
    seen = caches[0]
    names = sorted(pseudonym(patient, SALT) for patient in seen.label_of_patient)
    card = {"training_data": {"digest": SALT, "patients_seen": names}}
    write_manifest(root, replace(manifest, card=card, preprocessing=seen.spec))
    return Path(root)


def test_unseen_patients_are_judged_and_reported(
    bundle: Path, caches: tuple[Cache, Cache], tmp_path: Path
) -> None:
    code, said = run_train(
        "report", bundle, "--cache", caches[1].root, "--json", tmp_path / "report.json"
    )
    assert code == 0, said
    found = json.loads((tmp_path / "report.json").read_text())
    folder = bundle / "report" / "unseen"
    assert found == json.loads((folder / "report.json").read_text())
    assert (found["data"]["patients"], found["data"]["frames"]) == (15, 30)
    assert "no member was trained on" in (folder / "index.html").read_text()


def test_evaluate_shows_auroc_and_writes_the_same_report(
    bundle: Path, caches: tuple[Cache, Cache], tmp_path: Path
) -> None:
    out, plain = tmp_path / "out", tmp_path / "plain.json"
    code, said = run_train("evaluate", bundle, caches[1].root, "--report", out, "--json", plain)
    assert code == 0, said
    metrics = json.loads(plain.read_text())
    report = json.loads((out / "report.json").read_text())
    for level in ("frames", "exams"):
        shown = report["calibrated"][level]["macro_auroc"]["value"]
        assert metrics[level]["macro_auroc"] == pytest.approx(shown)
    assert (
        run_train("report", bundle, "--cache", caches[1].root, "--out", tmp_path / "again")[0] == 0
    )
    assert (tmp_path / "again" / "index.html").read_bytes() == (out / "index.html").read_bytes()


def test_bad_input_exits_2_with_what_is_wrong(
    bundle: Path, caches: tuple[Cache, Cache], tmp_path: Path
) -> None:
    table = tmp_path / "readers.csv"
    table.write_text("exam,reader,answer\nnobody,A,none\n")
    unseen = caches[1].root
    for words, expected in (
        ((bundle,), "run `neurosono train` first"),
        ((bundle, "--cache", caches[0].root), "were trained on"),
        ((bundle, "--cache", tmp_path), "no whole frame cache"),
        ((bundle, "--cache", unseen, "--readers", table), "row 2, column exam"),
        ((bundle, "--cache", unseen, "--readers", tmp_path / "x"), "no table of readers"),
        (("demo",), "name a folder with --out"),
        ((tmp_path / "nowhere",), "no bundle at"),
    ):
        code, said = run_train("report", *words)
        assert (code, expected in said) == (2, True), said
    assert not (bundle / "report").exists()
