"""A gate's data: labels and patients by rule, folds that share no patient, views of heads."""

from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.training.gate.augmentation import Strength, augment, find_box, invent, scramble
from neurosono.training.gate.data import GateData, GateRow, write_gate_data
from neurosono.training.gate.sources import SourceRule, find_files, load_rules
from neurosono.training.gate.splits import deal_folds, find_copies, group_patients
from neurosono.training.gate.train import halve
from tests.training.gate.gate_pictures import SIDE_PX, draw, draw_all


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pairs = draw_all()
    found = write_gate_data(tmp_path / "data", pairs, ["a clinic, CC BY 4.0"])
    again = GateData.load(tmp_path / "data")
    assert again.rows == tuple(row for _, row in pairs)
    assert np.array_equal(again.frames[5], pairs[5][0])
    assert again.attribution == ("a clinic, CC BY 4.0",)
    assert found.count()["clinic/head"] == {"frames": 12, "patients": 6}
    assert again.positive.sum() == 24
    assert again.real.sum() == 24


def test_altered_or_missing_data_are_refused(tmp_path: Path) -> None:
    write_gate_data(tmp_path / "data", draw_all(), [])
    with pytest.raises(OutputError, match="is there already"):
        write_gate_data(tmp_path / "data", draw_all(), [])
    index = tmp_path / "data" / "index.csv"
    index.write_text(index.read_text().replace("head", "other", 1))
    with pytest.raises(InputError, match="were altered"):
        GateData.load(tmp_path / "data")
    with pytest.raises(InputError, match="holds no gate data"):
        GateData.load(tmp_path)
    with pytest.raises(InputError, match="nothing for a gate"):
        write_gate_data(tmp_path / "none", [], [])
    with pytest.raises(InputError, match="a label is one of"):
        GateRow("a", "b", "c", "heart")


def test_a_picture_under_two_names_makes_its_patients_one(tmp_path: Path) -> None:
    pairs = draw_all()
    picture, row = pairs[0]
    worn = np.clip(picture.astype(np.int16) + 2, 0, 255).astype(np.uint8)
    twin = GateRow("twin.png", "elsewhere", "elsewhere:9", row.label)
    data = write_gate_data(tmp_path / "data", [*pairs, (worn, twin)], [])
    assert (0, len(pairs)) in find_copies(np.asarray(data.frames))
    group = group_patients(data)
    assert group[0] == group[-1]
    assert len(set(group)) == 12
    fold = deal_folds(data, 3)
    assert set(fold) == {0, 1, 2}
    assert all(len(set(fold[group == each])) == 1 for each in set(group))


def test_the_first_rule_wins_and_patients_are_shared_within_a_database(tmp_path: Path) -> None:
    for name in ("a/P1_x.png", "a/P1_y.png", "b/P1_z.png", "b/odd.png", "c/note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rules = (
        SourceRule("odd", ("b/odd.png",), "left-out"),
        SourceRule("brain", ("a/*",), "head", "DB", r"(P\d)_"),
        SourceRule("femur", ("b/*",), "other", "DB", r"(P\d)_"),
    )
    found = {
        each.path: (each.rule.label, each.rule.patient_of(each.path))
        for each in find_files(tmp_path, rules)
    }
    assert found == {
        "a/P1_x.png": ("head", "DB:P1"),
        "a/P1_y.png": ("head", "DB:P1"),
        "b/P1_z.png": ("other", "DB:P1"),
    }
    with pytest.raises(InputError, match="no patient in"):
        rules[1].patient_of("a/nobody.png")
    with pytest.raises(InputError, match="no file of"):
        find_files(tmp_path, (SourceRule("none", ("z/*",), "head"),))


def test_the_shipped_sources_can_be_read_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    rules = load_rules("shared")
    assert {rule.label for rule in rules} == {"head", "spine", "other", "left-out"}
    assert any("CC BY 4.0" in rule.attribution for rule in rules)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[[source]]\nname = "a"\nfiles = ["*"]\nlabel = "head"\nfolder = "b"\n')
    with pytest.raises(InputError, match=r"has no \['folder'\]"):
        load_rules(wrong)
    wrong.write_text('[[source]]\nname = "a"\nfiles = ["*"]\nlabel = "liver"\n')
    with pytest.raises(InputError, match="no label 'liver'"):
        load_rules(wrong)
    with pytest.raises(InputError, match="cannot be read"):
        load_rules(tmp_path / "absent.toml")


def test_views_keep_their_shape_and_are_repeatable() -> None:
    picture = draw("head", np.random.default_rng(1))
    views = [augment(picture, np.random.default_rng(seed), Strength()) for seed in range(40)]
    assert {(view.shape, str(view.dtype)) for view in views} == {((SIDE_PX, SIDE_PX), "uint8")}
    assert len({view.tobytes() for view in views}) == 40
    assert np.array_equal(views[3], augment(picture, np.random.default_rng(3), Strength()))


def test_scrambled_tiles_keep_the_texture_and_lose_the_anatomy() -> None:
    picture = draw("head", np.random.default_rng(2))
    for seed in range(20):
        found = scramble(picture, np.random.default_rng(seed))
        assert found.shape == picture.shape
        assert not np.array_equal(found, picture)
    assert {invent(SIDE_PX, np.random.default_rng(seed)).shape for seed in range(9)} == {
        (SIDE_PX, SIDE_PX)
    }


def test_the_lit_box_and_the_halving() -> None:
    picture = np.zeros((8, 8), dtype=np.uint8)
    assert find_box(picture) == (0, 0, 8, 8)
    picture[2:5, 3:7] = 100
    assert find_box(picture) == (3, 2, 4, 3)
    assert halve(picture)[1, 2] == 100
    assert halve(picture)[1, 1] == 50
