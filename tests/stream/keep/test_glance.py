"""How good a picture is, and whether two show one view."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.stream.keep.glance import glance_at, view_distance


def draw_view(seed: int = 0) -> NDArray[np.uint8]:
    """Return a region of its own for each seed, `(220, 320, 3)`: some blobs and edges."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(40, 250, (5, 7)).astype(np.uint8)
    region = cv2.resize(blobs, (320, 220), interpolation=cv2.INTER_CUBIC)
    cv2.circle(region, (int(rng.integers(60, 260)), int(rng.integers(60, 160))), 30, 255, 3)
    return np.asarray(cv2.cvtColor(region, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def test_a_worse_copy_of_a_picture_scores_lower() -> None:
    region = draw_view()
    best = glance_at(region).quality
    blurred = cv2.GaussianBlur(region, (0, 0), 8).astype(np.uint8)
    half = region.copy()
    half[:, :160] = 0
    assert 0 < glance_at(blurred).quality < best
    assert 0 < glance_at(half).quality < 0.7 * best


def test_a_black_picture_has_no_quality() -> None:
    assert glance_at(np.zeros((60, 80), np.uint8)).quality == 0.0
    assert glance_at(np.full((60, 80), 128, np.uint8)).quality == pytest.approx(0.0, abs=1e-6)


def test_a_view_is_the_same_at_another_gain_and_size() -> None:
    region = draw_view()
    one = glance_at(region)
    darker = glance_at((region * 0.7).astype(np.uint8))
    larger = glance_at(cv2.resize(region, None, fx=2, fy=2).astype(np.uint8))
    grey = glance_at(region[..., 0].copy())
    for other in (one, darker, larger, grey):
        assert view_distance(one, other) < 0.05
    assert view_distance(one, glance_at(draw_view(1))) > 0.5
