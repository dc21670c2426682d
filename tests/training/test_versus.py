"""Architectures in one table, the probe beside them, and an atlas's tables."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.atlas import write_tables
from neurosono.training.probe import NAMES, judge_by_shortcut, look
from neurosono.training.recipe import Recipe
from neurosono.training.splits import make_folds
from neurosono.training.versus import compare
from tests.training.conftest import SPEC

LABELS = ("wide", "normal")
MakeCohort = Callable[..., Cache]


def judged(skill: float, seed: int = 0, patients: int = 30, frames: int = 4) -> Predictions:
    rng = np.random.default_rng(seed)
    count = patients * frames
    patient_of = np.arange(patients).repeat(frames)
    targets = patient_of % 2
    score = 1 / (1 + np.exp(-(rng.normal(size=count) + skill * (1 - 2 * targets))))
    return Predictions(
        labels=LABELS,
        rows=np.arange(count),
        folds=np.zeros(count, dtype=np.int64),
        patients=np.array([f"p{number:02d}" for number in patient_of]),
        exams=np.array([f"e{number:02d}" for number in patient_of]),
        targets=targets,
        weeks=np.full(count, np.nan),
        sites=np.full(count, ""),
        probabilities=np.stack([score, 1 - score], 1),
    )


def test_the_measures_are_scikit_learns_of_the_class_that_is_looked_for() -> None:
    found = judged(0.8)
    row = compare([("one", found)], "wide")["frames"]["one"]
    truth, score = found.targets == 0, found.probabilities[:, 0]
    said = score > 0.5
    expected = {
        "f1": f1_score(truth, said),
        "precision": precision_score(truth, said),
        "recall": recall_score(truth, said),
        "specificity": recall_score(~truth, ~said),
        "accuracy": accuracy_score(truth, said),
        "auroc": roc_auc_score(truth, score),
    }
    for name, value in expected.items():
        assert row[name]["value"] == pytest.approx(value), name
        assert row[name]["low"] <= value <= row[name]["high"]
    assert row["count"] == 120
    assert row["patients"] == 30


def test_a_difference_is_paired_and_says_which_is_better() -> None:
    good, bad = judged(2.0), judged(0.3, seed=1)
    found = compare([("good", good), ("same", good), ("bad", bad)], "wide")
    for level in ("frames", "exams"):
        assert set(found[level]["same"]["less_first"]["auroc"].values()) == {0.0}
        less = found[level]["bad"]["less_first"]["auroc"]
        assert less["low"] <= less["value"] <= less["high"] < 0
    assert "less_first" not in found["frames"]["good"]


def test_other_frames_or_classes_are_refused() -> None:
    found = judged(1.0)
    with pytest.raises(InputError, match="compared are two classes"):
        compare([("one", found)], "narrow")
    with pytest.raises(InputError, match="judged other frames than one"):
        compare([("one", found), ("two", judged(1.0, patients=28))], "wide")
    renamed = replace(found, labels=("other", "normal"))
    with pytest.raises(InputError, match="judged other frames"):
        compare([("one", found), ("two", renamed)], "wide")
    with pytest.raises(InputError, match="name a bundle or more"):
        compare([], "wide")


def framed_cache(root: Path, framed: bool) -> Cache:
    """Write noise; where `framed` one class lies on lighter ground with fewer black rows."""
    rng = np.random.default_rng(0)
    with CacheWriter(root, LABELS, SPEC, 1, "synthetic") as writer:
        for label in LABELS:
            for number in range(12):
                pixels = rng.integers(0, 200, (64, 64), dtype=np.uint8)
                bar = 16 if framed and label == "wide" else 8
                pixels[:bar] = pixels[-bar:] = 0
                name = f"{label}-{number}"
                writer.add(pixels, CachedFrame("a.png", label, name, name, 0, 0, 0.0, None))
        return writer.finish()


@pytest.mark.parametrize("framed", [True, False])
def test_the_probe_finds_how_pictures_were_framed_and_nothing_else(
    framed: bool, tmp_path: Path
) -> None:
    cache = framed_cache(tmp_path / "cache", framed)
    folds = make_folds(cache.label_of_patient, LABELS, Recipe(folds=3, validation_share=0.2))
    found = judge_by_shortcut(cache, folds)
    assert sorted(found.rows) == list(range(24)), "each patient is judged once"
    area = compare([("probe", found)], "wide")["frames"]["probe"]["auroc"]["value"]
    assert area > 0.95 if framed else 0.1 < area < 0.9


def test_the_probe_sees_corners_borders_and_levels() -> None:
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:8, :8] = 255
    seen = dict(zip(NAMES, look(pixels), strict=True))
    assert seen["mean of the 1st corner"] == 1
    assert seen["mean of the 4th corner"] == seen["median"] == 0
    assert seen["share of black rows"] == seen["share of black columns"] == 56 / 64


def write_atlas(folder: Path) -> None:
    lines = [
        ("a1.jpg", "mild 20", "atlas", "mild ventriculomegaly", "a"),
        ("a2.jpg", "mild 20", "atlas", "mild ventriculomegaly", "a"),
        ("b.jpg", "cyst 22", "atlas", "arachnoid cyst", "b"),
        ("c.jpg", "colpo 30", "atlas", "colpocephaly", "c"),
        ("d.jpg", "P1", "FPDB", "normal", "d"),
    ]
    folder.mkdir()
    with (folder / "atlas.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "pseudo_case", "source", "finding", "group"))
        table.writerows(lines)


def test_an_atlas_is_listed_by_original_within_itself_and_against_normals(tmp_path: Path) -> None:
    write_atlas(tmp_path / "data")
    found = write_tables(tmp_path / "data", tmp_path / "out")
    assert found == {
        "within-atlas.csv": {"ventriculomegaly": 1, "other-finding": 1},
        "against-normals.csv": {"ventriculomegaly": 1, "normal": 1},
        "normals.csv": {"normal": 1},
    }
    with (tmp_path / "out" / "within-atlas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["path"]).name for row in rows] == ["a1.jpg", "b.jpg"]
    assert [row["patient"] for row in rows] == ["mild 20", "cyst 22"]
    with pytest.raises(OutputError, match="name a new folder"):
        write_tables(tmp_path / "data", tmp_path / "out")
    with pytest.raises(InputError, match=r"is no atlas's table"):
        write_tables(tmp_path, tmp_path / "other")
