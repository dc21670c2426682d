"""What the network is given: crops at the head's own scale, however the head lies."""

import math

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.regions.names import PLANES, REGIONS, regions_of
from neurosono.engine.regions.view import (
    CONTEXT,
    CROP_PX,
    GEOMETRY,
    Frame,
    View,
    face,
    view_plane,
)
from neurosono.engine.structures.boxes import Found, RotatedBox
from neurosono.engine.structures.ellipse import Ellipse

VENTRICULAR, CEREBELLAR = PLANES
SIDE = 320


def place_head(turn_deg: float, a: float = 100.0) -> tuple[Ellipse, Frame]:
    """Return a head and its axes, its front towards `turn_deg`."""
    head = Ellipse(170.0, 150.0, a, 0.8 * a, turn_deg)
    return head, Frame(head, 1 if turn_deg % 360 < 180 else -1)


def put(axes: Frame, label: str, u: float, v: float, along: float, across: float) -> Found:
    x, y = axes.locate(u, v)
    angle = math.degrees(axes.turn_rad)
    box = RotatedBox(x, y, along * 2 * axes.head.a, across * 2 * axes.head.a, angle)
    return Found(label, 0.9, box)


def draw(axes: Frame, boxes: list[Found]) -> np.ndarray:
    """Return a square with a grey head and each box filled, its front end darker."""
    square = np.zeros((SIDE, SIDE), np.uint8)
    head = axes.head
    axes_px = 2 * head.a, 2 * head.b
    cv2.ellipse(square, ((head.cx, head.cy), axes_px, head.angle_deg), (90,), -1)
    for each in boxes:
        cv2.fillPoly(square, [np.rint(each.box.corners()).astype(np.int32)], (200,))
    x, y = axes.locate(0.8, 0.0)
    cv2.circle(square, (round(x), round(y)), 9, (20,), -1)
    return square


def boxes_in(axes: Frame) -> list[Found]:
    return [
        put(axes, "csp", 0.5, 0.0, 0.15, 0.07),
        put(axes, "lv", -0.25, 0.45, 0.4, 0.12),
        put(axes, "choroid-plexus", -0.3, 0.45, 0.2, 0.08),
    ]


@pytest.mark.parametrize("turn_deg", [0.0, 35.0, 120.0, 181.0, 290.0])
@pytest.mark.parametrize("a", [70.0, 110.0])
def test_a_head_looks_the_same_however_it_lies_and_however_large(turn_deg: float, a: float) -> None:
    views = []
    for turn, size in ((0.0, 90.0), (turn_deg, a)):
        head, axes = place_head(turn, size)
        found = boxes_in(axes)
        views.append(view_plane(draw(axes, found), head, found, VENTRICULAR))
    first, second = views
    assert np.abs(first.context - second.context).max() < 0.02
    apart = np.abs(first.crops.astype(float) - second.crops.astype(float)).mean((1, 2))
    assert apart.max() < 9, apart


def test_a_wide_ventricle_stays_wide() -> None:
    head, axes = place_head(20.0)
    bright = []
    for across in (0.1, 0.2):
        found = [put(axes, "csp", 0.5, 0, 0.15, 0.07), put(axes, "lv", -0.2, 0.4, 0.3, across)]
        view = view_plane(draw(axes, found), head, found, VENTRICULAR)
        bright.append(int((view.crops[1] > 150).sum()))
    assert bright[1] == pytest.approx(2 * bright[0], rel=0.15)


def test_mirrored_is_seen_from_the_other_side() -> None:
    head, axes = place_head(75.0)
    found = boxes_in(axes)
    square = draw(axes, found)
    plain = view_plane(square, head, found, VENTRICULAR)
    mirrored = view_plane(square, head, found, VENTRICULAR, mirrored=True)
    assert np.array_equal(plain.crops[:, ::-1], mirrored.crops)
    assert np.array_equal(plain.context, mirrored.context)


def test_what_is_not_found_is_looked_for_where_it_should_be() -> None:
    head, axes = place_head(200.0)
    found = boxes_in(axes)
    square = draw(axes, found)
    without = [each for each in found if each.label != "csp"]
    assert face(head, without) == axes, "the ventricles alone tell front from back"
    view = view_plane(square, head, without, VENTRICULAR)
    assert view.found == (False, True, False)
    assert np.abs(view.context[0, :7]).max() == 0
    whole = view_plane(square, head, found, VENTRICULAR)
    assert np.abs(whole.crops[0].astype(float) - view.crops[0]).mean() < 3


def test_each_crop_says_which_region_it_is() -> None:
    head, axes = place_head(0.0)
    for plane in PLANES:
        view = view_plane(draw(axes, []), head, [], plane)
        which = view.context[:, GEOMETRY:].argmax(1)
        assert [REGIONS[at] for at in which] == list(regions_of(plane))
        assert view.context[0, GEOMETRY - 1] == pytest.approx(0.8)


def test_the_surest_of_two_ventricles_is_taken() -> None:
    head, axes = place_head(0.0)
    near, far = put(axes, "lv", -0.2, 0.4, 0.3, 0.1), put(axes, "lv", -0.2, -0.4, 0.3, 0.1)
    sure = Found("lv", 0.95, far.box)
    one = view_plane(draw(axes, [near]), head, [near, sure], VENTRICULAR)
    assert (one.crops[1] > 150).sum() < 200


def test_a_view_of_another_shape_is_refused() -> None:
    crops = np.zeros((2, CROP_PX, CROP_PX), np.uint8)
    with pytest.raises(InputError, match="a plane's view is"):
        View(crops, np.zeros((3, CONTEXT), np.float32), (True, True, True))
