"""Two looks: the head that a glance shows is looked at level and at its size, and brought back."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from neurosono.engine.structures.answer import MAP_STRIDE_PX, Answer, Grid
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.looks import HEAD_SHARE, closer_affine, find_head, look
from neurosono.engine.structures.names import NO_HEAD, PLANES, STRUCTURES, TRANSTHALAMIC
from neurosono.engine.structures.reading import read_answer

SQUARE_PX, LOOK_PX = 320, 192


def _draw(head: Ellipse) -> np.ndarray:
    square = np.zeros((SQUARE_PX, SQUARE_PX), np.uint8)
    points = np.rint(head.points(360) * 16).astype(np.int32)
    cv2.fillPoly(square, [points], (200,), cv2.LINE_AA, 4)
    return square


class _Bright:
    """Says that what is bright is a head; keeps what it was shown."""

    def __init__(self) -> None:
        self.looks: list[np.ndarray] = []

    def __call__(self, look_at: np.ndarray) -> Answer:
        self.looks.append(look_at)
        grid = Grid(look_at.shape[0])
        n = sum(grid.counts)
        level = cv2.GaussianBlur(look_at.astype(np.float32), (0, 0), 2.0)
        planes = np.zeros(len(PLANES), np.float32)
        planes[PLANES.index(TRANSTHALAMIC if look_at.max() > 100 else NO_HEAD)] = 1
        return Answer(
            grid,
            np.zeros((n, len(STRUCTURES)), np.float32),
            np.ones(n, np.float32),
            np.ones((n, 4), np.float32),
            np.ones((n, 2), np.float32),
            planes,
            (level[::MAP_STRIDE_PX, ::MAP_STRIDE_PX] - 100) / 20,
        )


@pytest.mark.parametrize("angle", [0.0, 35.0, 88.0, 120.0, 171.0])
def test_a_closer_look_lays_the_head_level_at_its_size(angle: float) -> None:
    head = Ellipse(140.5, 171.0, 62.0, 48.0, angle)
    seen = head.mapped(closer_affine(head, LOOK_PX))
    assert (seen.cx, seen.cy) == pytest.approx((95.5, 95.5))
    assert 2 * seen.a == pytest.approx(HEAD_SHARE * LOOK_PX)
    assert seen.b / seen.a == pytest.approx(48 / 62)
    assert min(seen.angle_deg, 180 - seen.angle_deg) == pytest.approx(0, abs=1e-6)
    up = closer_affine(head, LOOK_PX)[:, :2] @ [0.0, -1.0]
    assert up[1] <= 1e-9


@pytest.mark.parametrize("angle", [20.0, 145.0])
def test_a_head_is_found_where_it_stands_in_the_square(angle: float) -> None:
    head, ask = Ellipse(140.5, 171.0, 62.0, 48.0, angle), _Bright()
    answer = look(_draw(head), LOOK_PX, ask)
    assert len(ask.looks) == 3  # the closer one a second time in the mirror
    assert (ask.looks[1] > 100).mean() > 1.5 * (ask.looks[0] > 100).mean()
    found = find_head(answer)
    assert found is not None
    assert (found.cx, found.cy, found.a, found.b) == pytest.approx(
        (head.cx, head.cy, head.a, head.b), abs=0.7
    )
    assert found.angle_deg == pytest.approx(angle, abs=2)
    reading = read_answer(answer, 640, 640)
    assert reading.head is not None
    assert reading.head.a == pytest.approx(124, abs=1.5)


def test_a_head_that_is_too_small_from_afar_is_seen_nearer() -> None:
    head, ask = Ellipse(150.0, 165.0, 44.0, 36.0, 15.0), _Bright()

    def shy(look_at: np.ndarray) -> Answer:
        answer = ask(look_at)
        small = (look_at > 100).mean() < 0.08
        return replace(answer, head=answer.head - 100) if small else answer

    found = find_head(look(_draw(head), LOOK_PX, shy))
    assert len(ask.looks) == 4
    assert found is not None
    assert (found.cx, found.cy, found.a) == pytest.approx((head.cx, head.cy, head.a), abs=0.7)


def test_without_a_head_two_glances_are_enough() -> None:
    ask = _Bright()
    answer = look(np.zeros((SQUARE_PX, SQUARE_PX), np.uint8), LOOK_PX, ask)
    assert len(ask.looks) == 2
    assert answer.square_px == SQUARE_PX
    assert read_answer(answer, 640, 640).head is None


def test_a_network_as_large_as_the_square_looks_once() -> None:
    ask = _Bright()
    look(_draw(Ellipse(160, 160, 80, 60, 10)), SQUARE_PX, ask)
    assert [each.shape for each in ask.looks] == [(SQUARE_PX, SQUARE_PX)]


def test_where_the_picture_cuts_a_head_off_the_rest_of_its_outline_is_enough() -> None:
    head, ask = Ellipse(60.0, 160.0, 75.0, 60.0, 0.0), _Bright()
    found = find_head(look(_draw(head), LOOK_PX, ask))
    assert found is not None
    assert (found.a, found.b) == pytest.approx((75, 60), rel=0.04)
