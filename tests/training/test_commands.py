from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.contracts.cache import Cache
from engine.contracts.errors import InputError, NeurosonoError
from scripts.train import train_app
from training.card import load_card

Invoke = Callable[..., object]


def _run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(train_app, [str(word) for word in words])
    if isinstance(result.exception, NeurosonoError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def test_a_dataset_is_trained_without_naming_the_verb(
    make_cohort: Callable[..., Cache], tmp_path: Path
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'weights = "random"\nepochs = 1\nfull_size_epochs = 1\nbatch = 8\nvalidation_share = 0.4\n'
    )
    cache = make_cohort()
    words = (cache.root, "--out", tmp_path / "b", "--recipe", recipe)
    code, said = _run(*words, "--folds", 2, "--width", 0.125, "--workers", 1)
    assert code == 0, said
    assert (tmp_path / "b" / "members" / "01.safetensors").is_file()
    assert not (tmp_path / "b.part").exists()

    seen = _run("evaluate", tmp_path / "b", cache.root)
    assert seen[0] == 2
    assert "12 patients of this cache were trained on" in seen[1]
    code, said = _run("evaluate", tmp_path / "b", make_cohort("other", seed=9).root)
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
    code, found = _run(*words)
    assert code == 2
    assert said in found
    assert list(tmp_path.iterdir()) == []


def test_recipes_are_explained() -> None:
    assert _run("recipes")[0] == 0


def test_a_card_knows_its_keys(tmp_path: Path) -> None:
    assert "real patients" in load_card("demo").limits[0]
    (tmp_path / "c.toml").write_text('limit = "x"')
    with pytest.raises(InputError, match="did you mean 'limits'"):
        load_card(tmp_path / "c.toml")
