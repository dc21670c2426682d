"""The ellipse finds the edge that a drawn skull has, and stays where there is none."""

import cv2
import numpy as np
import pytest

from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.refine import refine

TRUE = Ellipse(158.3, 150.7, 92.4, 71.2, 24.0)


def _draw_skull(head: Ellipse, rng: np.random.Generator) -> np.ndarray:
    """Return a square of 320 px with a bright ring whose outer edge is the ellipse."""
    big = np.zeros((1280, 1280), np.uint8)
    for shrink, level in ((0.0, 200), (5.0, 50)):
        inner = Ellipse(head.cx, head.cy, head.a - shrink, head.b - shrink, head.angle_deg)
        points = (inner.points(360) + 0.5) * 4 - 0.5
        cv2.fillPoly(big, [np.rint(points).astype(np.int32)], (level,))
    small = cv2.resize(big, (320, 320), interpolation=cv2.INTER_AREA).astype(np.float64) + 25
    speckled = small * rng.rayleigh(0.8, small.shape)
    return np.asarray(np.clip(cv2.GaussianBlur(speckled, (0, 0), 1.0), 0, 255), np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_the_outer_edge_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    square = _draw_skull(TRUE, rng)
    shift = rng.uniform(-2, 2, 5)
    begun = Ellipse(
        TRUE.cx + shift[0],
        TRUE.cy + shift[1],
        TRUE.a + shift[2],
        TRUE.b + shift[3],
        TRUE.angle_deg + shift[4],
    )
    found = refine(square, begun)
    assert found.perimeter == pytest.approx(TRUE.perimeter, rel=0.008)
    assert np.hypot(found.cx - TRUE.cx, found.cy - TRUE.cy) < 1.2
    assert found.b == pytest.approx(TRUE.b, abs=0.8)


def test_a_half_hidden_skull_leads_nowhere_else() -> None:
    square = _draw_skull(TRUE, np.random.default_rng(9))
    square[:, 200:] = 0  # a shadow over a third of it
    found = refine(square, TRUE)
    assert found.perimeter == pytest.approx(TRUE.perimeter, rel=0.02)


def test_where_the_picture_ends_is_no_skull() -> None:
    rng = np.random.default_rng(2)
    square = np.zeros((320, 320), np.uint8)
    square[60:260] = rng.integers(90, 110, (200, 320))  # a picture without a skull, letterboxed
    head = Ellipse(160, 160, 120, 97, 0)
    found = refine(square, head)
    assert found.b == pytest.approx(head.b, abs=1.0)


def test_without_an_edge_the_ellipse_stays() -> None:
    assert refine(np.full((320, 320), 90, np.uint8), TRUE) == TRUE
