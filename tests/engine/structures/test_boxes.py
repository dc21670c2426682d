"""Boxes with an angle and ellipses: made, moved, compared, thinned out."""

import math

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.boxes import Found, RotatedBox, overlap, suppress
from neurosono.engine.structures.ellipse import Ellipse, fit_ellipse


def test_a_box_lies_along_its_long_side() -> None:
    box = RotatedBox(10, 20, 4, 9, 15)
    assert (box.w, box.h, box.angle_deg) == (9, 4, 105)
    assert RotatedBox(0, 0, 5, 2, -10).angle_deg == pytest.approx(170)


@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 90.0, 134.5, 179.0])
def test_a_box_is_found_again_around_its_corners(angle_deg: float) -> None:
    box = RotatedBox(40.5, 31.25, 30, 12, angle_deg)
    again = RotatedBox.around(box.corners())
    assert (again.cx, again.cy, again.w, again.h) == pytest.approx((40.5, 31.25, 30, 12), abs=1e-3)
    apart = abs(again.angle_deg - angle_deg) % 180
    assert min(apart, 180 - apart) < 0.01


@pytest.mark.parametrize(
    "values", [(0, 0, 0, 3), (0, 0, 3, -1), (math.nan, 0, 3, 3), (0, math.inf, 3, 3)]
)
def test_impossible_boxes_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="sides over 0"):
        RotatedBox(*values)


@pytest.mark.parametrize("values", [(0, 0, 3, 4), (0, 0, 3, 0), (0, 0, math.nan, 1)])
def test_impossible_ellipses_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="a >= b > 0"):
        Ellipse(*values, 0.0)


def test_overlap_is_the_share_of_painted_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        boxes = [
            RotatedBox(*rng.uniform(180, 320, 2), *rng.uniform(40, 220, 2), rng.uniform(0, 180))
            for _ in range(2)
        ]
        painted = np.zeros((2, 500, 500), np.uint8)
        for canvas, box in zip(painted, boxes, strict=True):
            cv2.fillPoly(canvas, [np.rint(box.corners() * 64).astype(np.int32)], (1,), shift=6)
        share = (painted[0] & painted[1]).sum() / (painted[0] | painted[1]).sum()
        assert overlap(*boxes) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("angle_deg", [0.0, 33.0, 89.0, 90.0, 120.0])
def test_a_box_overlaps_itself_wholly(angle_deg: float) -> None:
    box = RotatedBox(120.3, 97.6, 70, 24, angle_deg)
    assert overlap(box, box) == pytest.approx(1)
    assert overlap(box, RotatedBox(120.30001, 97.6, 70, 24, angle_deg)) == pytest.approx(
        1, abs=1e-4
    )
    assert overlap(box, RotatedBox(420, 97.6, 70, 24, angle_deg)) == 0


def test_of_a_heap_the_surest_stays_and_labels_do_not_mix() -> None:
    here = RotatedBox(50, 50, 40, 20)
    near, far = RotatedBox(53, 50, 40, 20), RotatedBox(150, 50, 40, 20)
    found = [
        Found("lv", 0.6, near),
        Found("lv", 0.9, here),
        Found("lv", 0.5, far),
        Found("csp", 0.4, near),
    ]
    kept = suppress(found, 0.5)
    assert [(one.label, one.score) for one in kept] == [("lv", 0.9), ("lv", 0.5), ("csp", 0.4)]


def test_an_ellipse_moves_as_its_points_do() -> None:
    ellipse = Ellipse(100, 80, 60, 40, 25)
    matrix = np.array([[1.3, 0.2, 5], [-0.1, 0.8, -7]])
    moved = ellipse.mapped(matrix)
    points = ellipse.points() @ matrix[:, :2].T + matrix[:, 2]
    turn = math.radians(moved.angle_deg)
    away = points - [moved.cx, moved.cy]
    u = (away @ [math.cos(turn), math.sin(turn)]) / moved.a
    v = (away @ [-math.sin(turn), math.cos(turn)]) / moved.b
    np.testing.assert_allclose(np.hypot(u, v), 1, atol=1e-9)


def test_circumference() -> None:
    assert Ellipse(0, 0, 10, 10, 0).perimeter == pytest.approx(20 * math.pi)
    points = Ellipse(0, 0, 60, 45, 12).points(20000)
    length = np.hypot(*(np.roll(points, -1, 0) - points).T).sum()
    assert Ellipse(0, 0, 60, 45, 12).perimeter == pytest.approx(length, rel=1e-4)


def test_an_ellipse_is_fitted_to_most_of_its_outline_and_not_to_a_bit() -> None:
    ellipse = Ellipse(120, 90, 70, 50, 40)
    points = ellipse.points(200)
    noisy = points + np.random.default_rng(1).normal(0, 0.4, points.shape)
    found = fit_ellipse(noisy[:140])
    assert found is not None
    assert found.perimeter == pytest.approx(ellipse.perimeter, rel=0.02)
    assert fit_ellipse(noisy[:60]) is None
    assert fit_ellipse(points[:8]) is None
