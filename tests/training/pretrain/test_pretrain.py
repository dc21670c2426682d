"""Masked autoencoding: it learns, goes on after a kill, keeps patients apart, starts members."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.scripts.commands import make_app
from neurosono.training.fit.weights import read_start
from neurosono.training.gate.data import GateRow, write_gate_data
from neurosono.training.pretrain import run
from neurosono.training.pretrain.autoencoder import MaskedAutoencoder, normalise_patches
from neurosono.training.pretrain.data import Pictures, gather
from neurosono.training.pretrain.recipe import PretrainRecipe
from neurosono.training.pretrain.run import Pretraining
from neurosono.training.recipe import Recipe

MakeCohort = Callable[..., Cache]
NARROW = 1 / 3
TINY = PretrainRecipe(
    width=NARROW, size_px=32, epochs=3, batch=8, learning_rate=0.05, precision="f32"
)
START = Recipe(architecture="vit-ti", width=NARROW)


class _KilledError(Exception):
    pass


def test_what_is_hidden_is_never_seen_and_only_it_counts() -> None:
    torch.manual_seed(0)
    network = MaskedAutoencoder("vit-ti", NARROW, 64, 0.75).eval()
    x = torch.randn(2, 3, 64, 64)
    kept = torch.tensor([[0, 5, 10, 15], [1, 2, 3, 4]])
    with torch.no_grad():
        drawn = network.draw(x, kept)
        assert drawn.shape == (2, 16, 256)
        other = x.clone()
        other[0, :, :16, 16:32] += 3  # patch 1, hidden in the first picture
        other[1, :, :16, :16] += 3  # patch 0, hidden in the second
        torch.testing.assert_close(network.draw(other, kept), drawn)
        other[0, :, :16, :16] += 3
        assert not torch.allclose(network.draw(other, kept)[0], drawn[0])


def test_patches_are_rows_first_and_each_of_mean_0_and_variance_1() -> None:
    grey = torch.arange(64 * 64).reshape(1, 1, 64, 64) % 251
    patches = normalise_patches(grey)
    assert patches.shape == (1, 16, 256)
    torch.testing.assert_close(patches.mean(2), torch.zeros(1, 16), atol=1e-4, rtol=0)
    torch.testing.assert_close(patches.var(2), torch.ones(1, 16), atol=1e-2, rtol=0)
    second = grey[0, 0, :16, 16:32].float().flatten()
    expected = (second - second.mean()) / second.std()
    torch.testing.assert_close(patches[0, 1], expected, atol=1e-3, rtol=0)
    assert not normalise_patches(torch.zeros(1, 1, 32, 32)).any(), "an even patch is all mean"


def test_it_learns_and_a_member_starts_from_it(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache = make_cohort(patients=4, frames=4)
    pool = gather([cache.root], [], 32)
    recipe = replace(TINY, epochs=8)
    said = Pretraining(pool, recipe, tmp_path / "pre").train(lambda *_: None)
    assert said["losses"][-1] < 0.9 * said["losses"][0]
    assert said["patients"] == 12
    assert not list(tmp_path.glob("*.part"))
    assert not any("rows-0" in name for name in said["patients_seen"]), "no patient is named"
    path = tmp_path / "pre" / "weights.safetensors"
    start = read_start(replace(START, weights=str(path)), 64)
    assert start["pos_embed"].shape == (1, 17, 64), "stretched to larger pictures"
    written = load_file(path)
    assert {name for name in written if "decoder" in name} == set()
    torch.testing.assert_close(
        start["blocks.3.attn.qkv.weight"], written["blocks.3.attn.qkv.weight"]
    )


def test_a_killed_pretraining_goes_on_to_the_same_weights(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    pool = gather([make_cohort(patients=2, frames=3).root], [], 32)
    Pretraining(pool, TINY, tmp_path / "whole").train(lambda *_: None)

    def kill(epoch: int, step: int, _: int, __: float) -> None:
        if (epoch, step) == (1, 2):
            raise _KilledError

    with pytest.raises(_KilledError):
        Pretraining(pool, TINY, tmp_path / "cut").train(kill)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(InputError, match="begun with another recipe"):
        Pretraining(pool, replace(TINY, seed=9), tmp_path / "cut").train(lambda *_: None)
    seen = []
    Pretraining(pool, TINY, tmp_path / "cut").train(lambda epoch, *_: seen.append(epoch))
    assert set(seen) == {1, 2}, "the first epoch was not trained again"
    whole, cut = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "cut"))
    for name, value in whole.items():
        assert torch.equal(value, cut[name]), name
    with pytest.raises(OutputError, match="is there already"):
        Pretraining(pool, TINY, tmp_path / "cut").train(lambda *_: None)


def test_pictures_held_on_a_device_are_those_that_are_read(make_cohort: MakeCohort) -> None:
    pool = gather([make_cohort(patients=2, frames=3).root], [], 32)
    cpu = torch.device("cpu")
    rows = np.array([5, 0, 17])
    held, read = (Pictures(pool, 32, cpu, held).take(rows) for held in (True, False))
    assert held.dtype == torch.float32
    assert torch.equal(held, read)


def test_losses_told_together_are_those_told_one_by_one(
    make_cohort: MakeCohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = gather([make_cohort(patients=2, frames=3).root], [], 32)
    heard: dict[int, list[tuple[int, int, int, float]]] = {1: [], 2: []}
    for together, told in heard.items():
        monkeypatch.setattr(run, "TOGETHER", {"cpu": together})
        Pretraining(pool, TINY, tmp_path / str(together)).train(
            lambda *step, to=told: to.append(step)
        )
    assert [step for _, step, _, _ in heard[1]] == [1, 2, 3] * 3
    assert heard[1] == heard[2]
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("1", "2"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_whoever_is_judged_later_is_kept_apart(make_cohort: MakeCohort, tmp_path: Path) -> None:
    everyone = make_cohort(patients=3, frames=2)
    judged = make_cohort("judged", patients=1, frames=1)  # the first patient of each class
    pixels = np.zeros((224, 224), np.uint8)
    real = [(pixels, GateRow("a.png", "some", f"woman-{n}", "head")) for n in range(3)]
    write_gate_data(tmp_path / "real", real, ["nobody"])
    pool = gather([everyone.root, tmp_path / "real"], [judged.root], 64)
    assert pool.left_out == 6
    assert len(pool.places) == 2 * 6 + 3
    assert not set(judged.label_of_patient) & set(pool.patients)
    assert pool.read(np.array([0, len(pool.places) - 1]), 64).shape == (2, 1, 64, 64)
    assert len(gather([everyone.root, tmp_path / "real"], [], 64, ["some"]).places) == 18
    with pytest.raises(InputError, match="no source 'others' here"):
        gather([tmp_path / "real"], [], 64, ["others"])
    with pytest.raises(InputError, match="64 px a side, asked for are 224"):
        gather([everyone.root], [], 224)
    with pytest.raises(InputError, match="holds no pictures"):
        gather([tmp_path], [], 32)
    with pytest.raises(InputError, match="fewer than two"):
        gather([judged.root], [judged.root], 32)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_in_facebooks_layout_starts_a_member(wrapped: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = MaskedAutoencoder("vit-ti", NARROW, 224, 0.75).state_dict()
    theirs = {name: value for name, value in theirs.items() if not name.startswith("head.")}
    path = tmp_path / "usf_mae.pth"
    torch.save({"model": theirs, "epoch": 3} if wrapped else theirs, path)
    start = read_start(replace(START, weights=str(path)), 224)
    assert not [name for name in start if name.startswith(("decoder", "mask_token"))]
    expected = {name for name in theirs if not name.startswith(("decoder", "mask_token"))}
    assert set(start) == expected
    with pytest.raises(InputError, match="do not fit a vit-s"):
        read_start(replace(START, architecture="vit-s", weights=str(path)), 224)
    del theirs["blocks.3.norm1.weight"]
    torch.save(theirs, path)
    with pytest.raises(InputError, match=r"missing, e\.g\. blocks\.3\.norm1\.weight"):
        read_start(replace(START, weights=str(path)), 224)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"model": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(InputError, match="cannot be read as a torch file of weights"):
        read_start(replace(START, weights=str(tmp_path / "trap.pth")), 224)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"architecture": "resnet34"}, "only a transformer is pretrained"),
        ({"size_px": 100}, "multiple of 16 px"),
        ({"masked": 1.0}, "shares between 0 and 1"),
        ({"precision": "f16"}, "f32 or bf16"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(TINY, **wrong)


def test_the_command_pretrains_and_training_starts_from_it(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort(patients=4, frames=2)
    narrow = ["--architecture", "vit-ti", "--width", "0.34"]
    words = [str(cache.root), "--out", str(tmp_path / "pre"), *narrow, "--size-px", "64"]
    found = CliRunner().invoke(make_app(), ["train", "pretrain", *words, "--epochs", "1"])
    assert found.exit_code == 0, found.output
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("folds = 2\nmembers = 1\nvalidation_share = 0.4\nbatch = 8\n")
    weights = str(tmp_path / "pre" / "weights.safetensors")
    words = [str(cache.root), "--out", str(tmp_path / "b"), "--recipe", str(recipe)]
    words += [*narrow, "--weights", weights, "--epochs", "1", "--workers", "1"]
    found = CliRunner().invoke(make_app(), ["train", *words])
    assert found.exit_code == 0, found.output
