"""The map lies where the network saw it, and nowhere else."""

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import Fit, PreprocessingSpec
from neurosono.engine.preprocess import preprocess
from neurosono.stream.view.heatmap import HEAT_TABLE, Heatmap, paint_heatmap, spread_cam

SPEC = PreprocessingSpec()


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size_px", [(480, 640), (300, 900), (700, 350), (256, 256)])
def test_the_map_lies_where_the_network_saw_it(fit: Fit, size_px: tuple[int, int]) -> None:
    spec = PreprocessingSpec(fit=fit)
    height, width = size_px
    for y, x in ((height // 2, width // 2), (height // 2 + 60, width // 2 - 70)):
        region = np.zeros(size_px, dtype=np.uint8)
        cv2.circle(region, (x, y), 12, 255, -1)
        seen = preprocess(region, spec).astype(np.float32) / 255.0
        back = spread_cam(seen, size_px, size_px, spec)
        rows, columns = np.nonzero(back > 0.5 * back.max())
        assert rows.mean() == pytest.approx(y, abs=1.5)
        assert columns.mean() == pytest.approx(x, abs=1.5)


def test_what_the_network_did_not_see_stays_free_of_heat() -> None:
    spec = PreprocessingSpec(fit=Fit.CENTER_CROP)
    heat = spread_cam(np.ones((7, 7), np.float32), (400, 800), (400, 800), spec)
    seen = 400 * 224 / 256
    assert np.count_nonzero(heat[200]) == pytest.approx(seen, abs=2)
    assert np.count_nonzero(heat[:, 400]) == pytest.approx(seen, abs=2)
    assert heat[200, 400] == pytest.approx(1.0)


def test_heat_is_bounded_and_blind_to_numbers_that_are_none() -> None:
    cam = np.array([[np.nan, 4.0], [-3.0, np.inf]], dtype=np.float32)
    heat = spread_cam(cam, (60, 60), (60, 60), SPEC)
    assert np.all(np.isfinite(heat))
    assert heat.min() >= 0.0
    assert heat.max() <= 1.0


def test_the_heat_colours_only_ever_get_lighter() -> None:
    grey = cv2.cvtColor(HEAT_TABLE, cv2.COLOR_BGR2GRAY).ravel().astype(int)
    assert np.all(np.diff(grey) >= 0)
    assert grey[-1] - grey[0] > 150


def test_anatomy_stays_to_be_seen_under_the_hottest_spot_and_untouched_elsewhere() -> None:
    cam = np.zeros((7, 7), dtype=np.float32)
    cam[3, 3] = 1.0
    stripes = np.zeros((224, 224), dtype=np.uint8)
    stripes[::2] = 200
    painted = paint_heatmap(Heatmap(cam, stripes, "normal", 0, 0.0), (224, 224), SPEC).astype(int)
    assert np.all(np.ptp(painted[110:114, 112], axis=0) > 50)
    np.testing.assert_array_equal(painted[:16, :16, 0], stripes[:16, :16])
    assert np.ptp(painted[112, 112]) > 20, "the hottest spot is coloured"


@pytest.mark.parametrize("shape", [(7,), (0, 7), (3, 7, 7)])
def test_what_is_no_map_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must be"):
        Heatmap(np.zeros(shape, np.float32), np.zeros((8, 8), np.uint8), "normal", 0, 0.0)


def test_a_frame_that_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError, match="heatmap's frame"):
        Heatmap(np.zeros((7, 7), np.float32), np.zeros((8,), np.uint8), "normal", 0, 0.0)
