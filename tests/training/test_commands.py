import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.structures.weeks import Weeks
from neurosono.scripts.phantom import phantom
from neurosono.training.audit import audit
from neurosono.training.card import load_card
from tests.training.commands import run_train


def test_a_dataset_is_trained_without_naming_the_verb(
    make_cohort: Callable[..., Cache], tmp_path: Path
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'weights = "random"\nepochs = 1\nfull_size_epochs = 1\nbatch = 8\nvalidation_share = 0.4\n'
    )
    cache = make_cohort()
    words = (cache.root, "--out", tmp_path / "b", "--recipe", recipe)
    code, said = run_train(*words, "--folds", 2, "--width", 0.125, "--workers", 1)
    assert code == 0, said
    assert (tmp_path / "b" / "members" / "01.safetensors").is_file()
    assert not (tmp_path / "b.part").exists()

    seen = run_train("evaluate", tmp_path / "b", cache.root)
    assert seen[0] == 2
    assert "12 patients of this cache were trained on" in seen[1]
    code, said = run_train("evaluate", tmp_path / "b", make_cohort("other", seed=9).root)
    assert code == 0, said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere", "--out", "b"), "no dataset at nowhere"),
        (("nowhere", "--out", "b", "--recipe", "nosuch"), "no recipe nosuch"),
        (("nowhere", "--out", "b", "--folds", "many"), "folds must be a number or lopo"),
        (("nowhere", "--out", "b", "--epochs", "0"), "epochs must be"),
        (("nowhere", "--out", "b", "--card", "nosuch"), "card nosuch cannot be read"),
        (("prepare", "nowhere", "--out", "c"), "no dataset at nowhere"),
        (("prepare", "nowhere", "--out", "c", "--every", "0"), "--every"),
        (("evaluate", "nowhere", "c"), "no bundle at nowhere"),
        (("nowhere",), "--out"),
    ],
)
def test_bad_input_exits_2_with_what_is_wrong(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = run_train(*words)
    assert code == 2
    assert said in found
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return five phantoms of two classes, made by the command."""
    out = tmp_path_factory.mktemp("phantoms") / "c"
    app = Typer()
    app.command()(phantom)
    words = ("--counts", "anencephaly=2, normal=3", "--seconds", "0.4", "--seed", "5", "--out", out)
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return out


def test_a_folder_is_prepared_and_counted_without_names(phantoms: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "cache", tmp_path / "report.json"
    assert run_train("prepare", phantoms, "--out", out, "--every", 5, "--json", report)[0] == 0
    found = json.loads(report.read_text())
    assert [found["classes"][label]["patients"] for label in ("anencephaly", "normal")] == [2, 3]
    assert sum(site["patients"] for site in found["sites"].values()) == 5
    assert len(found["patients"]) == 5
    assert found["sampled"] == found["frames"] + sum(found["skipped"].values()) == 10
    assert found["notice"] == NOTICE
    assert "phantom-5-" not in report.read_text(), "patients stand under pseudonyms"
    assert run_train("prepare", phantoms, "--out", out)[0] == 2, "it is there already"

    table = run_train("prepare", phantoms / "cohort.csv", "--out", tmp_path / "t", "--every", 5)
    assert table[0] == 0, "a phantom cohort's table is a dataset too"
    ours, theirs = Cache.load(out), Cache.load(tmp_path / "t")
    assert ours.frames.tobytes() == theirs.frames.tobytes()
    assert [row.site for row in ours.rows] == [row.site for row in theirs.rows]


def test_bad_files_and_copies_stop_it_unless_allowed(phantoms: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(phantoms, data)
    patient = next((data / "normal").iterdir())
    shutil.copytree(patient, patient.with_name("copy"))
    (patient / "empty.png").touch()
    words = ("prepare", data, "--out", out, "--every", 5)
    code, said = run_train(*words)
    assert (code, "1 of 7 files cannot be used" in said) == (2, True), said
    code, said = run_train(*words, "--skip-bad")
    assert (code, "same picture under two patients: normal/copy/clip_01.mp4" in said) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    report = tmp_path / "r.json"
    assert run_train(*words, "--skip-bad", "--allow-copies", "--json", report)[0] == 0
    found = json.loads(report.read_text())
    assert (found["files_left_out"], found["pairs_of_copies_allowed"]) == (1, 1)
    cache = Cache.load(out)
    assert cache.summary["copies_allowed"] is True
    audit(cache)
    words = (data, "--out", tmp_path / "b", "--recipe", "demo", "--every", 5)
    code, said = run_train(*words)
    assert (code, "1 of 7 files cannot be used" in said) == (2, True), said
    code, said = run_train(*words, "--skip-bad", "--allow-copies")
    assert (code, "fold 0 leaves 1 of the 2 patients" in said) == (2, True), said
    assert Cache.load(tmp_path / "b.cache").frames.tobytes() == cache.frames.tobytes()


@pytest.mark.parametrize(
    ("label", "folds", "said"),
    [("anencephaly", 2, "class anencephaly has one patient only"), (None, 9, "9 folds need 9")],
)
def test_too_few_patients_are_said_before_training(
    label: str | None, folds: int, said: str, phantoms: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(phantoms, data)
    if label is not None:
        shutil.rmtree(next((data / label).iterdir()))
    words = (data, "--out", tmp_path / "b", "--every", 5, "--recipe", "demo", "--folds", folds)
    code, found = run_train(*words)
    assert (code, said in found) == (2, True), found
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "counts", ["normal", "normal=x", "normal=1,normal=2", "nosuch=2", "normal=0", "normal=-1"]
)
def test_counts_that_cannot_be_are_one_sentence(counts: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--counts must be|unknown|counts must be"):
        phantom(tmp_path / "c", counts=counts)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="--counts or --exams"):
        phantom(tmp_path / "c", counts="normal=1", exams=1)


def test_the_help_says_where_the_options_are() -> None:
    assert "train run --help" in run_train("--help")[1]


def test_recipes_are_explained() -> None:
    assert run_train("recipes")[0] == 0


def test_a_card_knows_its_keys(tmp_path: Path) -> None:
    assert "real patients" in load_card("demo").limits[0]
    (tmp_path / "c.toml").write_text('limit = "x"')
    with pytest.raises(InputError, match="did you mean 'limits'"):
        load_card(tmp_path / "c.toml")


def test_a_card_binds_its_bundle_to_weeks(tmp_path: Path) -> None:
    """Without them in its card a bundle would speak of every fetus."""
    bound = Weeks.from_card(load_card("ventricles").to_json())
    assert bound == Weeks(19, 24)
    assert Weeks.from_card(load_card("demo").to_json()) is None
    for bad in ("21", "[24, 19]", "[19]", '"19:24"'):
        (tmp_path / "c.toml").write_text(f"weeks = {bad}")
        with pytest.raises(InputError, match=r"as \[19, 24\]"):
            load_card(tmp_path / "c.toml")
