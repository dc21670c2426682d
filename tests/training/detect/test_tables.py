"""The tables of real pictures: read as they are meant, refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import HEAD_PLANES, NO_HEAD, STRUCTURES
from neurosono.training.detect.data import DetectData, open_real, write_detect_data
from neurosono.training.detect.rows import Row
from neurosono.training.detect.tables import (
    HEADS_TABLE,
    PLANES_TABLE,
    STRUCTURES_TABLE,
    UPRIGHT_TABLE,
    read_tables,
)
from tests.training.detect.pictures import (
    HEADS_COLUMNS,
    PLANES_COLUMNS,
    STRUCTURES_COLUMNS,
    write_picture,
    write_table,
)

HEAD = Ellipse(320, 330, 200, 190, 5)


def _write_real(root: Path) -> None:
    """Write a squeezed picture with structures, one without a head, and one with millimetres."""
    write_picture(root / "fpdb_planes/square640/a.jpg", 640, 640, HEAD)
    write_picture(root / "fpdb_planes/full/b.jpg", 400, 300)
    write_picture(root / "hc18/images/007_HC.jpg", 800, 540, Ellipse(400, 270, 200, 150, 0))
    common = {"machine": "Aloka", "width": 640, "height": 640, "native_aspect": 1.633}
    a = {"path": "fpdb_planes/square640/a.jpg", "image": "a", "patient": "P1", **common}
    b = {"path": "fpdb_planes/full/b.jpg", "image": "b", "patient": "P2", "machine": "E6"}
    size_b = {"width": 400, "height": 300, "native_aspect": 1.333}
    write_table(
        root / PLANES_TABLE,
        PLANES_COLUMNS,
        {**a, "plane": "trans-ventricular", "csp_visible": 0},
        {**a, "path": "nowhere.jpg", "plane": "trans-ventricular", "copy_of": "a.jpg"},
        {**b, **size_b, "plane": "femur"},
    )
    mark = {"cx": 300, "cy": 320, "w": 60, "h": 20, "angle": 10}
    head = {"cx": HEAD.cx, "cy": HEAD.cy, "a": HEAD.a, "b": HEAD.b, "angle": HEAD.angle_deg}
    write_table(
        root / STRUCTURES_TABLE,
        STRUCTURES_COLUMNS,
        {
            **a,
            **{f"lv_{k}": v for k, v in mark.items()},
            **{f"head_{k}": v for k, v in head.items()},
        },
    )
    write_table(root / HEADS_TABLE, HEADS_COLUMNS, _head_line())


def _head_line(**other: object) -> dict[str, object]:
    ellipse = Ellipse(400, 270, 200, 150, 0)
    line = {"path": "hc18/images/007_HC.jpg", "subject": "007", "pixel_mm": 0.15}
    line |= {"hc_mm": round(ellipse.perimeter * 0.15, 2), "cx": 400, "cy": 270, "a": 200, "b": 150}
    return {**line, "angle": 0, "width": 800, "height": 540, "outline_cut": "no", **other}


def test_what_was_seen_and_not_marked_is_somewhere(tmp_path: Path) -> None:
    _write_real(tmp_path)
    table = tmp_path / PLANES_TABLE
    lines = table.read_text().replace("Aloka,0,,", "Aloka,1,1,", 1)
    assert lines != table.read_text()
    table.write_text(lines)
    row = read_tables(tmp_path)[0].row
    assert (row.known, row.seen) == (("lv",), ("csp",))  # the ventricle is marked
    assert Row.from_json(row.to_json()) == row


def test_a_scale_is_read_off_a_picture_that_was_not_squeezed(tmp_path: Path) -> None:
    _write_real(tmp_path)
    squeezed, native, told = read_tables(tmp_path)
    scales = [open_real(each, 320, lambda _: 0.2)[1].mm_per_px for each in (squeezed, native, told)]
    assert scales[0] is None
    assert scales[1] == pytest.approx(0.2 * 400 / 320)
    assert scales[2] == pytest.approx(0.15 * 800 / 320)  # the table's own


def test_what_is_known_is_taken_and_no_more(tmp_path: Path) -> None:
    _write_real(tmp_path)
    a, b, c = (each.row for each in read_tables(tmp_path))
    assert (a.plane, a.known, a.patient) == ("trans-ventricular", ("csp", "lv"), "fpdb-P1")
    assert [each.label for each in a.boxes] == ["lv"]
    assert (b.plane, b.known, b.head_known, b.head) == (NO_HEAD, STRUCTURES, True, None)
    assert (c.plane, c.known, c.mm_per_px) == ("", (), 0.15)
    assert set(HEAD_PLANES) < set(c.planes)


def test_a_squeeze_is_undone_in_picture_and_marks(tmp_path: Path) -> None:
    _write_real(tmp_path)
    picture = read_tables(tmp_path)[0]
    square, row = open_real(picture)
    assert square.shape == (320, 320)
    # 640 x 640 was 1045 x 640: letterboxed, 196 rows high
    assert not square[:60].any()
    assert not square[-60:].any()
    assert row.head is not None
    on = np.rint(row.head.points()).astype(int)
    assert square[on[:, 1], on[:, 0]].mean() > square[square > 0].mean() + 40
    (lv,) = row.boxes
    assert lv.box.w == pytest.approx(60 * 1.633 * 320 / 1045, rel=0.05)


def test_millimetres_follow_the_square(tmp_path: Path) -> None:
    _write_real(tmp_path)
    _, row = open_real(read_tables(tmp_path)[2])
    assert row.mm_per_px == pytest.approx(0.15 * 800 / 320, rel=1e-3)
    assert row.head is not None
    assert row.head.perimeter * row.mm_per_px == pytest.approx(_head_line()["hc_mm"], rel=2e-3)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    _write_real(tmp_path)
    (tmp_path / "fpdb_planes/full/b.jpg").unlink()
    with pytest.raises(InputError, match=r"planes.csv line 4: the picture .*b.jpg is missing"):
        read_tables(tmp_path)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"pixel_mm": 15}, "pixel_mm must be 0.01 to 2 millimetres, found 15"),
        ({"pixel_mm": 0.0015}, "is it in cm"),
        ({"pixel_mm": "wide"}, "pixel_mm must be a number"),
        ({"hc_mm": 16.4}, "in another unit or of another picture"),
        ({"b": 0}, "half axes a >= b > 0"),
        ({"a": "nan"}, "a must be a number"),
    ],
)
def test_heads_that_cannot_be_are_refused(
    tmp_path: Path, other: dict[str, object], why: str
) -> None:
    _write_real(tmp_path)
    write_table(tmp_path / HEADS_TABLE, HEADS_COLUMNS, _head_line(**other))
    with pytest.raises(InputError, match=why) as refused:
        read_tables(tmp_path)
    assert "hc18.csv line 2" in str(refused.value)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"lv_w": -3}, "sides over 0"),
        ({"lv_cx": 2000}, "does not fit into a picture of 640 x 640"),
        ({"lv_h": ""}, "lv_h must be a number"),
        ({"lv_w": 4000}, "does not fit"),
    ],
)
def test_boxes_that_cannot_be_are_refused(
    tmp_path: Path, other: dict[str, object], why: str
) -> None:
    _write_real(tmp_path)
    line = {"path": "fpdb_planes/square640/a.jpg", "image": "a", "patient": "P1", "width": 640}
    line |= {"height": 640, "lv_cx": 300, "lv_cy": 320, "lv_w": 60, "lv_h": 20, "lv_angle": 0}
    write_table(tmp_path / STRUCTURES_TABLE, STRUCTURES_COLUMNS, {**line, **other})
    with pytest.raises(InputError, match=why):
        read_tables(tmp_path)


def test_upright_boxes_come_to_their_picture(tmp_path: Path) -> None:
    _write_real(tmp_path)
    columns = ["file", "original", "hc18_set", "original_path", "copies", "least_augmented"]
    line = {"file": "images/x.jpg", "original": "007_HC", "hc18_set": "training"}
    write_table(tmp_path / UPRIGHT_TABLE, columns, {**line, "least_augmented": "yes"})
    labels = tmp_path / "hc18_falx_csp_cp_yolo/labels/x.txt"
    with pytest.raises(InputError, match="its boxes are missing"):
        read_tables(tmp_path)
    labels.parent.mkdir()
    labels.write_text("1 0.5 0.5 0.1 0.2\n")
    row = read_tables(tmp_path)[2].row
    (csp,) = row.boxes
    assert (csp.label, csp.upright) == ("csp", True)
    assert (csp.box.cx, csp.box.cy) == (399.5, 269.5)
    assert row.known == ("csp", "falx", "choroid-plexus")
    labels.write_text("1 0.5 1.5 0.1 0.2\n")
    with pytest.raises(InputError, match="four shares from 0 to 1"):
        read_tables(tmp_path)
    labels.write_text("7 0.5 0.5 0.1 0.2\n")
    with pytest.raises(InputError, match="a class is 0 to 2"):
        read_tables(tmp_path)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds none of"):
        read_tables(tmp_path)


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    _write_real(tmp_path)
    write_picture(tmp_path / "fpdb_planes/full/b.jpg", 300, 300)
    with pytest.raises(InputError, match="300 x 300 pixels, its table says 400 x 300"):
        open_real(read_tables(tmp_path)[1])


def test_data_come_back_as_they_were_and_altered_ones_are_refused(tmp_path: Path) -> None:
    _write_real(tmp_path)
    pairs = [open_real(each) for each in read_tables(tmp_path)]
    made = write_detect_data(tmp_path / "data", pairs, ["somebody"])
    again = DetectData.load(tmp_path / "data")
    assert again.rows == made.rows == tuple(row for _, row in pairs)
    assert again.attribution == ("somebody",)
    index = tmp_path / "data/index.jsonl"
    index.write_text(index.read_text().replace("P1", "P9"))
    with pytest.raises(InputError, match="were altered"):
        DetectData.load(tmp_path / "data")


def test_a_patient_is_always_in_one_fold() -> None:
    folds = [Row("x", "s", f"p{k}").fold for k in range(500)]
    assert folds == [Row("y", "t", f"p{k}").fold for k in range(500)]
    assert min(np.bincount(folds, minlength=5)) > 70


@pytest.mark.realdata
def test_the_real_tables(real_data: Path) -> None:
    pictures = read_tables(real_data)
    rows = [each.row for each in pictures]
    assert sum(row.plane in HEAD_PLANES for row in rows) > 1700
    assert sum(row.head is not None for row in rows) > 1000
    assert all(
        len({row.fold for row in rows if row.patient == p}) == 1 for p in ("fpdb-Patient00305",)
    )
    assert len({row.path for row in rows}) == len(rows)
