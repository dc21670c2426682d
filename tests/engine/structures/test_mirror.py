"""A look and its mirror image say the same, place by place, whatever lies in them."""

import numpy as np
import pytest

from neurosono.engine.structures.answer import MAP_STRIDE_PX, STRIDES_PX, Answer, Grid
from neurosono.engine.structures.boxes import RotatedBox, overlap
from neurosono.engine.structures.decode import find_structures
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.mirror import average, mirror_look
from neurosono.engine.structures.names import PLANES, STRUCTURES

GRID = Grid(192)
LAST = GRID.size_px - STRIDES_PX[-1]


def _see(look: np.ndarray) -> Answer:
    """Return the answer of a network that says of each place how bright it is there."""
    points, _ = GRID.locations()
    level = look[points[:, 1].astype(int), points[:, 0].astype(int)].astype(np.float32) / 255
    n = len(points)
    return Answer(
        GRID,
        np.repeat(level[:, None], len(STRUCTURES), 1),
        level,
        np.ones((n, 4), np.float32),
        np.tile(np.float32([1, 0]), (n, 1)),
        np.full(len(PLANES), 1 / len(PLANES), np.float32),
        look[::MAP_STRIDE_PX, ::MAP_STRIDE_PX].astype(np.float32),
    )


def test_places_meet_their_own_in_the_mirror() -> None:
    look = np.random.default_rng(0).integers(0, 256, (192, 192)).astype(np.uint8)
    own = _see(look)
    both = average(own, _see(mirror_look(look)))
    np.testing.assert_allclose(both.classes, own.classes, atol=1e-6)
    np.testing.assert_allclose(both.head, own.head, atol=1e-4)


@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 85.0, 100.0, 160.0])
def test_a_box_that_both_see_is_where_it_was(angle_deg: float) -> None:
    box = RotatedBox(88.0, 92.0, 40.0, 16.0, angle_deg)
    flipped = RotatedBox(LAST - 88.0, 92.0, 40.0, 16.0, 180 - angle_deg)
    both = average(_seen(box), _seen(flipped))
    (found,) = find_structures(both)
    assert overlap(found.box, box) > 0.999


def _seen(box: RotatedBox) -> Answer:
    """Return the answer of a network that sees one box, at the place by its middle."""
    points, strides = GRID.locations()
    at = int(np.argmin(np.hypot(*(points - [box.cx, box.cy]).T)))
    turn = np.radians(box.angle_deg if box.angle_deg <= 90 else box.angle_deg - 180)
    away = points[at] - [box.cx, box.cy]
    along = away @ [np.cos(turn), np.sin(turn)]
    across = away @ [-np.sin(turn), np.cos(turn)]
    answer = _see(np.zeros((192, 192), np.uint8))
    answer.classes[at, 0] = answer.centreness[at] = 1
    half_w, half_h = box.w / 2, box.h / 2
    found = [half_w + along, half_h + across, half_w - along, half_h - across]
    answer.sides[at] = np.array(found) / strides[at]
    answer.turns[at] = np.cos(2 * turn), np.sin(2 * turn)
    return answer


def test_the_mirrored_look_holds_the_head() -> None:
    head = Ellipse(95.5, 95.5, 75, 60, 0)
    points = head.points()
    assert (points[:, 0] < LAST).all()
