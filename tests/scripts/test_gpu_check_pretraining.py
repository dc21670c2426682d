"""What a GPU's step is made of: jobs in order, pictures packed small, tables of what came back."""

import io
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosono.engine.contracts.cache import Cache, CachedFrame
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.judgement import name_rows
from neurosono.scripts.gpu_check.desk import Desk, Job
from neurosono.scripts.gpu_check.packing import encode, lay_out, pack, unpack, write_cache
from neurosono.scripts.gpu_check.pretraining import _write_toml, draw_folders
from neurosono.scripts.gpu_check.record import Clock
from neurosono.scripts.gpu_check.rehearsal import SIZE_PX, draw_cache, lay_out_few
from neurosono.scripts.gpu_check.ventricles import NETS, Plan
from neurosono.scripts.gpu_check.ventricles_report import Found, tables
from neurosono.training.gate.data import GateData, GateRow, write_gate_data
from neurosono.training.recipe import load_recipe


def test_jobs_follow_what_they_need_and_outlive_what_fails() -> None:
    heard: dict[str, Any] = {}
    desk = Desk(1, Clock(600, time.monotonic()))

    def hear(job: Job, result: Any, error: BaseException | None) -> None:
        heard[job.name] = type(error).__name__ if error else result
        if job.name == "first":
            desk.add(Job("added", int, ("4",), "first"))

    desk.add(
        Job("waits", int, ("1",), "fails"),
        Job("first", int, ("3",)),
        Job("fails", int, ("no number",)),
        Job("dies", os._exit, (3,)),
        Job("later", int, ("5",), "first"),
    )
    assert desk.run(hear) == ["waits"], "what needs a job that failed is told"
    assert heard == {
        "first": 3,
        "fails": "ValueError",
        "dies": "BrokenProcessPool",
        "later": 5,
        "added": 4,
    }


def test_nothing_is_begun_when_the_time_is_over() -> None:
    desk = Desk(1, Clock(0, time.monotonic()))
    desk.add(Job("late", int, ("1",)))
    assert desk.run(lambda *_: pytest.fail("nothing runs")) == ["late"]


def test_a_cache_travels_without_losses_and_a_pool_with_them(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    cache = Cache.load(tmp_path / "train")
    (tmp_path / "data").mkdir()
    for name in ("train", "test", "pool"):
        pack(tmp_path / name, tmp_path / "data" / f"{name}.packed")
    (tmp_path / "root").mkdir()
    names = ("train", "test", "pool", "normals")
    found = lay_out(tmp_path / "data", tmp_path / "root", names, names[:3])
    assert found == {f"{name}_pixel_for_pixel": True for name in names[:3]}
    again = Cache.load(tmp_path / "root" / "train")
    assert again.digest == cache.digest
    np.testing.assert_array_equal(again.frames, cache.frames)

    smooth = [np.tile(np.arange(0, 224, 2, np.uint8), (112, 1)) + shade for shade in (0, 20)]
    rows = [GateRow(f"{n}.png", "phantom", f"p{n}", "head") for n in range(2)]
    write_gate_data(tmp_path / "smooth", list(zip(smooth, rows, strict=True)), ["nobody"])
    pack(tmp_path / "smooth", tmp_path / "lossy", quality=90)
    assert unpack(tmp_path / "lossy", tmp_path / "back"), "it is what the packer saw come out"
    found = GateData.load(tmp_path / "back")
    assert found.rows == GateData.load(tmp_path / "smooth").rows
    assert 0 < np.abs(np.asarray(found.frames).astype(int) - np.stack(smooth)).mean() < 4

    with pytest.raises(InputError, match="holds no packed pictures"):
        unpack(tmp_path / "smooth" / "frames.npy", tmp_path / "none")
    with pytest.raises(InputError, match="holds no train"):
        lay_out(tmp_path / "smooth", tmp_path / "root", names, names)


def test_a_decoder_that_rounds_otherwise_makes_a_cache_of_its_own(tmp_path: Path) -> None:
    cache = draw_cache(tmp_path / "train", DEFAULT_LABELS, 3)
    pack(cache.root, tmp_path / "train.packed", quality=90)
    assert (tmp_path / "train.packed").stat().st_size < 0.9 * cache.frames.nbytes
    with zipfile.ZipFile(tmp_path / "train.packed") as file:
        parts = {each: file.read(each) for each in file.namelist()}
    swapped = [encode(np.asarray(frame), 80) for frame in cache.frames]
    parts["pictures.webp"] = b"".join(swapped)
    lengths = io.BytesIO()
    np.save(lengths, np.array([len(each) for each in swapped], np.uint32))
    with zipfile.ZipFile(tmp_path / "other.packed", "w") as file:
        for name, content in (parts | {"lengths.npy": lengths.getvalue()}).items():
            file.writestr(name, content)
    assert unpack(tmp_path / "train.packed", tmp_path / "same")
    assert not unpack(tmp_path / "other.packed", tmp_path / "own")
    same, own = (Cache.load(tmp_path / name) for name in ("same", "own"))
    assert same.rows == own.rows == cache.rows
    assert len({same.digest, own.digest, cache.digest}) == 3
    assert 0 < np.abs(own.frames.astype(int) - cache.frames).mean() < 15


def test_a_rehearsal_takes_a_few_pictures_of_large_caches(tmp_path: Path) -> None:
    source = (DEFAULT_LABELS, PreprocessingSpec(size_px=64, resize_px=64), 1, "drawn")
    named = [(label, f"{label}-{n}") for label in DEFAULT_LABELS for n in range(4)]
    rows = [CachedFrame(f"{p}.png", c, p, p, 0, k, 0.0) for c, p in named for k in range(3)]
    large = write_cache(
        tmp_path / "data" / "c", source, rows, [np.full((64, 64), 9, np.uint8)] * 60
    )
    lay_out_few(tmp_path / "data", tmp_path / "root", ("c",), ("c",))
    few = Cache.load(tmp_path / "root" / "c")
    assert (len(few.rows), few.spec.size_px) == (len(DEFAULT_LABELS) * 3 * 2, SIZE_PX)
    assert set(few.label_of_patient.items()) < set(large.label_of_patient.items())


def _say(cache: Cache, rows: Any, skill: float, fold: int) -> Predictions:
    rng = np.random.default_rng(fold)
    score = rng.normal(size=len(rows)) + skill * (2 * cache.targets[rows] - 1)
    positive = 1 / (1 + np.exp(-score))
    return name_rows(cache, rows, np.stack([1 - positive, positive], 1), fold=fold, salt="s")


def test_tables_compare_on_the_folds_that_all_have_and_pair_what_was_pretrained(
    tmp_path: Path,
) -> None:
    draw_folders(tmp_path)
    plan = Plan(tmp_path, Clock(600), folds=3)
    train = plan.cache("train")
    folds = plan.deal(train, NETS[0].recipe(1, 8, 3))
    found = Found()
    for net, skill, done in (("vit-s", 0.2, 2), ("vit-s-pretrained", 4.0, 2), ("vgg19", 1, 3)):
        for fold in folds[:done]:
            others = {
                name: _say(
                    plan.cache(name), np.arange(len(plan.cache(name).rows)), skill, fold.index
                )
                for name in ("test", "within-atlas", "normals")
            }
            said = _say(train, train.rows_of(fold.judged), skill, fold.index)
            found.add(net, fold.index, {"train": said} | others)
    made = dict(tables(found, plan))
    assert made["compared"] == {"networks": ["vit-s", "vit-s-pretrained", "vgg19"], "folds": [0, 1]}
    gain = made["pretraining"]["vit-s"]["frames"]["vit-s-pretrained"]["less_first"]["auroc"]
    table = made["held_out"]["frames"]
    values = {name: row["auroc"]["value"] for name, row in table.items()}
    assert gain["value"] == pytest.approx(values["vit-s-pretrained"] - values["vit-s"])
    assert gain["value"] > 0.1
    assert "shortcut-probe" in table
    assert made["other_patients"]["frames"]["vit-s"]["count"] == len(plan.cache("test").rows)
    alarms = made["real_normals_called_wide"]["vit-s-pretrained"]
    assert alarms["pictures"]["count"] == 4
    assert alarms["women"]["count"] == 2
    assert alarms["women"]["right"] == 0
    assert made["calibrated"]["vgg19"]["temperature"] > 0


def test_a_recipe_goes_out_as_the_command_reads_it(tmp_path: Path) -> None:
    recipe = NETS[2].recipe(12, 128, 5)
    (tmp_path / "r.toml").write_bytes(_write_toml(recipe.to_json()))
    assert load_recipe(tmp_path / "r.toml") == recipe
