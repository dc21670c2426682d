import tomllib
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.training.recipe import RECIPES_PATH, Recipe, load_recipe


def test_the_paper_recipe_is_the_papers_value_by_value() -> None:
    """Qi et al. 2025 (arXiv 2501.02000), written out a second time; the file names every key."""
    said = tomllib.loads((RECIPES_PATH / "paper.toml").read_text())
    assert said == {
        "width": 1.0,
        "weights": "imagenet",
        "folds": "lopo",
        "members": 0,
        "selection": "inner",
        "validation_share": 0.15,
        "measure_optimism": True,
        "epochs": 20,
        "patience": 5,
        "batch": 128,
        "learning_rate": 5e-4,
        "weight_decay": 0.05,
        "warmup_epochs": 1,
        "final_rate_ratio": 1e-6,
        "label_smoothing": 0.0,
        "early_size_px": 224,
        "full_size_epochs": 20,
        "crop_area_low": 0.08,
        "crop_aspect": 4 / 3,
        "flip": 0.5,
        "rotation_deg": 0.0,
        "gain": 0.0,
        "gamma": 0.0,
        "precision": "f32",
        "seed": 0,
    }
    recipe = load_recipe("paper")
    assert recipe == Recipe(), "the defaults are the paper's"
    assert all(recipe.is_full_size(epoch) for epoch in range(20))


def test_only_inner_selection_has_an_optimism_to_measure() -> None:
    assert Recipe().measures_optimism
    assert not Recipe(selection="paper").measures_optimism
    assert not Recipe(measure_optimism=False).measures_optimism


@pytest.mark.parametrize("path", sorted(RECIPES_PATH.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    assert load_recipe(path.stem).to_json()


def test_the_command_line_wins_over_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text("epochs = 3\nbatch = 16\n")
    recipe = load_recipe(file, epochs=7, width=None)
    assert (recipe.epochs, recipe.batch, recipe.width) == (7, 16, 1.0)


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text("learning_rat = 1e-3\n")
    with pytest.raises(InputError, match="did you mean 'learning_rate'"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("epochs = 0", "epochs must be in 1 to 10000"),
        ("epochs = 2.5", "epochs must be a whole number"),
        ('epochs = "x"', "epochs must be a whole number"),
        ("patience = 0", "patience must be at least 1"),
        ("flip = 2", "flip must be in 0 to 1"),
        ('folds = "five"', "folds must be a number or lopo"),
        ("folds = 1", "folds must be in 2"),
        ('precision = "f8"', "precision must be f32, bf16 or f16"),
        ('selection = "best"', "selection must be inner or paper"),
        ("measure_optimism = 1", "measure_optimism must be true or false"),
        ("weights = 3", "weights must be a word"),
        ("epochs = [", "cannot be read"),
    ],
)
def test_a_bad_value_is_one_sentence(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "r.toml"
    file.write_text(line)
    with pytest.raises(InputError, match=said):
        load_recipe(file)


def test_a_missing_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(InputError, match="demo, fine-tune, paper, student"):
        load_recipe("nothing-of-the-sort")


def test_progressive_sizes_end_full() -> None:
    recipe = Recipe(epochs=5, full_size_epochs=2, early_size_px=112)
    assert [recipe.size_at(epoch, 224) for epoch in range(5)] == [112, 112, 112, 224, 224]
    assert recipe.size_at(0, 64) == 64, "never above the cache's size"
