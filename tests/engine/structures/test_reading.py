"""One picture's reading: pixels of the picture, millimetres only where the scale is known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.errors import EngineFailedError, InputError
from neurosono.engine.structures.answer import MAP_STRIDE_PX, Answer, Grid
from neurosono.engine.structures.biometry import estimate_age, measure_head
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.decode import Limits
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import PLANES, STRUCTURES
from neurosono.engine.structures.reading import read_answer, to_picture

SIZE_PX = 320
GRID = Grid(SIZE_PX)
HEIGHT, WIDTH = 480, 800


def _draw_map(head: Ellipse, steepness: float = 60) -> np.ndarray:
    along = np.arange(SIZE_PX // MAP_STRIDE_PX) * MAP_STRIDE_PX
    x, y = np.meshgrid(along - head.cx, along - head.cy)
    return ((1 - np.hypot(x / head.a, y / head.b)) * steepness).astype(np.float32)


def make_answer(plane: str = "trans-ventricular", head: Ellipse | None = None) -> Answer:
    """Return the answer of a network that found one ventricle about (160, 160), 40 by 10."""
    points, strides = GRID.locations()
    n, cells = len(points), SIZE_PX // MAP_STRIDE_PX
    classes = np.full((n, len(STRUCTURES)), 0.001, np.float32)
    at = np.flatnonzero((strides == 8) & (np.abs(points - 160).max(1) < 1))
    assert len(at) == 1
    classes[at, STRUCTURES.index("lv")] = 0.81
    sides = np.tile(np.array([20, 5, 20, 5], np.float32) / 8, (n, 1))
    planes = np.full(len(PLANES), 0.02, np.float32)
    planes[PLANES.index(plane)] = 0.9
    none = np.full((cells, cells), -5, np.float32)
    return Answer(
        GRID,
        classes,
        np.ones(n, np.float32),
        sides,
        np.tile(np.array([1, 0], np.float32), (n, 1)),
        planes,
        none if head is None else _draw_map(head),
    )


HEAD = Ellipse(160, 160, 100, 80, 0)
"""In the network's input; the picture is 2.5 times as large."""


def test_a_reading_is_in_the_pictures_own_pixels() -> None:
    reading = read_answer(make_answer(head=HEAD), HEIGHT, WIDTH, mm_per_px=0.2)
    told = reading.to_dict()
    assert told["plane"] == "trans-ventricular"
    (box,) = told["boxes"]
    assert (box["label"], box["unproven"]) == ("lv", False)
    assert box["score"] == pytest.approx(0.9)
    # 160 in the square is the middle of its 161st pixel: 2.5 times that, less the letterbox's edge
    assert (box["cx"], box["cy"]) == pytest.approx((400.75, 240.75), abs=1e-3)
    assert (box["w"], box["h"]) == pytest.approx((100, 25), abs=1e-3)
    assert told["head"]["a"] == pytest.approx(250, rel=0.01)
    assert told["head"]["b"] == pytest.approx(200, rel=0.01)
    assert told["bpd_mm"] == pytest.approx(0.2 * told["bpd_px"])
    assert told["hc_mm"] == pytest.approx(0.2 * told["hc_px"])
    assert told["cephalic_index"] == pytest.approx(0.8, abs=0.01)
    assert told["atrial_width_mm"] == pytest.approx(5, abs=1e-3)
    assert told["age"]["weeks"] == pytest.approx(31.1, abs=0.3)


@pytest.mark.parametrize(
    ("plane", "told"),
    [("trans-cerebellum", ["cerebellum"]), ("trans-ventricular", []), ("other-head", [])],
)
def test_what_phantoms_alone_taught_is_told_in_its_own_plane(plane: str, told: list[str]) -> None:
    answer = make_answer(plane, HEAD)
    classes = answer.classes.copy()
    at = classes[:, STRUCTURES.index("lv")].argmax()
    classes[at, STRUCTURES.index("lv")] = 0.001
    classes[at, STRUCTURES.index("cerebellum")] = 0.81
    answer = replace(answer, classes=classes)
    assert [each.label for each in read_answer(answer, HEIGHT, WIDTH).boxes] == told
    every = read_answer(answer, HEIGHT, WIDTH, limits=Limits())
    assert [each.label for each in every.boxes] == ["cerebellum"]


def test_without_a_scale_there_are_no_millimetres() -> None:
    told = read_answer(make_answer(head=HEAD), HEIGHT, WIDTH).to_dict()
    for name in ("mm_per_px", "hc_mm", "bpd_mm", "ofd_mm", "atrial_width_mm", "age"):
        assert told[name] is None
    assert told["hc_px"] > 0
    assert told["atrial_width_px"] == pytest.approx(25, abs=1e-3)


def test_off_its_plane_no_atrium_is_measured_and_without_a_head_no_head() -> None:
    told = read_answer(make_answer("trans-thalamic", HEAD), HEIGHT, WIDTH, 0.2).to_dict()
    assert told["atrial_width_px"] is None
    assert told["boxes"]
    for plane in ("no-head", "spine"):
        told = read_answer(make_answer(plane, HEAD), HEIGHT, WIDTH, 0.2).to_dict()
        assert told["head"] is None
        assert told["hc_mm"] is None


@pytest.mark.parametrize(("steepness", "told"), [(60, True), (8, False)])
def test_a_head_whose_outline_is_unclear_is_not_measured(steepness: float, told: bool) -> None:
    answer = replace(make_answer(head=HEAD), head=_draw_map(HEAD, steepness))
    reading = read_answer(answer, HEIGHT, WIDTH, 0.2)
    assert (reading.head is not None) == told
    assert (reading.to_dict()["hc_mm"] is not None) == told


def test_a_map_that_is_no_ellipse_is_no_outline() -> None:
    cut = _draw_map(HEAD)
    cut[:, : cut.shape[1] // 2 - 12] = -20  # a side that the map does not hold to be the head's
    assert read_answer(replace(make_answer(), head=cut), HEIGHT, WIDTH).head is None


def test_an_unlikely_plane_is_not_named() -> None:
    answer = make_answer()
    answer.planes[:] = 1 / len(PLANES)
    reading = read_answer(answer, HEIGHT, WIDTH)
    assert reading.plane is None
    assert reading.quality is None


def test_a_plane_is_as_good_as_what_it_must_hold() -> None:
    # one of four: ventricle, choroid plexus, cavum, falx
    assert read_answer(make_answer(), HEIGHT, WIDTH).quality == pytest.approx(0.225)


@pytest.mark.parametrize("scale", [0.0, -1.0, 10.0, math.nan, 0.002])
def test_a_scale_in_another_unit_is_refused(scale: float) -> None:
    with pytest.raises(InputError, match="millimetres per pixel"):
        read_answer(make_answer(), HEIGHT, WIDTH, scale)


def test_numbers_that_are_none_are_an_engines_failure() -> None:
    good = make_answer()
    bad = good.sides.copy()
    bad[7, 2] = np.nan
    with pytest.raises(EngineFailedError, match="sides"):
        Answer(GRID, good.classes, good.centreness, bad, good.turns, good.planes, good.head)


@pytest.mark.parametrize("shape", [(661, 959), (392, 640), (700, 500), (320, 320)])
def test_squares_go_back_to_where_they_came_from(shape: tuple[int, int]) -> None:
    """A bright dot in a picture is found, through the letterbox and back, where it was."""
    from neurosono.engine.contracts.preprocessing import PreprocessingSpec
    from neurosono.engine.preprocess import preprocess

    picture = np.zeros(shape, np.uint8)
    y, x = shape[0] // 3, shape[1] // 4
    picture[y - 4 : y + 5, x - 4 : x + 5] = 255
    square = preprocess(picture, PreprocessingSpec(size_px=SIZE_PX, resize_px=1024)).astype(float)
    rows, columns = np.mgrid[0:SIZE_PX, 0:SIZE_PX]
    middle = [(square * each).sum() / square.sum() for each in (columns, rows)]
    back = to_picture(*shape, SIZE_PX) @ np.array([*middle, 1.0])
    np.testing.assert_allclose(back, [x, y], atol=0.3)


def test_measures_of_a_head() -> None:
    size = measure_head(Ellipse(0, 0, 250, 200, 0), 0.2)
    assert (size.bpd, size.ofd) == (80, 100)
    assert size.hc == pytest.approx(283.7, abs=0.3)
    assert size.cephalic_index == 0.8


@pytest.mark.parametrize(
    ("hc_mm", "weeks", "two_sd"),
    [
        (80, 13.434, 1.19),
        (151, 18.147, 1.48),
        (224, 24.428, 2.06),
        (301, 33.395, 2.98),
        (360, 42.397, 3.2),
    ],
)
def test_age_by_hadlock(hc_mm: float, weeks: float, two_sd: float) -> None:
    """Rows of the printed table "GA by HC, Hadlock 1984", and its spreads."""
    age = estimate_age(hc_mm)
    assert age is not None
    assert age.weeks == pytest.approx(weeks, abs=0.001)
    assert age.two_sd_weeks == two_sd


def test_no_age_beyond_the_formula() -> None:
    assert estimate_age(60) is None
    assert estimate_age(400) is None


def test_a_side_that_the_pyramid_cannot_halve_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 32"):
        Grid(300)


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; import neurosono.engine.structures.graph, neurosono.stream.screen.ruler;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0


def test_boxes_map_with_their_picture() -> None:
    box = RotatedBox(10, 10, 8, 4, 30).mapped(np.array([[2.0, 0, 1], [0, 2.0, 3]]))
    assert (box.cx, box.cy, box.w, box.h) == pytest.approx((21, 23, 16, 8), abs=1e-3)
    assert box.angle_deg == pytest.approx(30, abs=0.01)
