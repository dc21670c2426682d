"""Region to input: one code for training, replay and live, held by golden arrays."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import Fit, PreprocessingSpec
from neurosono.engine.preprocess import letterbox_box, preprocess

LETTERBOX = PreprocessingSpec()
CROP = PreprocessingSpec(fit=Fit.CENTER_CROP)


def make_region(height: int = 300, width: int = 400) -> np.ndarray:
    """Return a picture that any change of scale, place or weight changes."""
    y, x = np.mgrid[0:height, 0:width]
    waves = 127 + 80 * np.sin(x / 9.0) * np.cos(y / 7.0) + 40 * (x > y)
    return np.clip(waves, 0, 255).astype(np.uint8)


GOLDEN_PATH = Path(__file__).parents[1] / "golden" / "preprocess.npz"


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("shape", [(300, 400), (90, 60), (1023, 1301)])
def test_the_input_is_the_golden_one(
    fit: Fit, shape: tuple[int, int], refresh_golden: bool
) -> None:
    """OpenCV releases may round differently: one grey level is allowed, no more."""
    square = preprocess(make_region(*shape), PreprocessingSpec(fit=fit))
    name = f"{fit}-{shape[0]}x{shape[1]}"
    if refresh_golden:
        held = dict(np.load(GOLDEN_PATH)) if GOLDEN_PATH.is_file() else {}
        np.savez_compressed(GOLDEN_PATH, **{**held, name: square})
    golden = np.load(GOLDEN_PATH)[name].astype(np.int16)
    assert np.abs(golden - square).max() <= 1


@pytest.mark.parametrize("shape", [(1080, 1440), (1023, 1301), (2160, 3840)])
def test_large_regions_are_averaged_over_their_area_all_the_same(shape: tuple[int, int]) -> None:
    grain = np.random.default_rng(4).normal(0, 24, shape)
    region = np.clip(make_region(*shape) / 2 + 60 + cv2.GaussianBlur(grain, (0, 0), 1.5), 0, 255)
    region = region.astype(np.uint8)
    x, y, w, h = letterbox_box(*shape, 224)
    exact = cv2.resize(region, (w, h), interpolation=cv2.INTER_AREA).astype(int)
    away = np.abs(preprocess(region, LETTERBOX)[y : y + h, x : x + w] - exact)
    assert away.max() <= 10
    assert away.mean() < 2


def test_letterbox_keeps_the_whole_region_and_its_proportions() -> None:
    region = np.full((150, 300), 200, dtype=np.uint8)
    square = preprocess(region, LETTERBOX)
    x, y, w, h = letterbox_box(150, 300, 224)
    assert square.shape == (224, 224)
    assert (x, y, w, h) == (0, 56, 224, 112)
    assert (square[y : y + h, x : x + w] == 200).all()
    assert not square[:y].any()
    assert not square[y + h :].any()


def test_center_crop_is_the_papers() -> None:
    region = make_region(512, 1024)
    square = preprocess(region, CROP)
    scaled = cv2.resize(region, (512, 256), interpolation=cv2.INTER_AREA)
    assert np.array_equal(square, scaled[16:240, 144:368])


def test_grey_and_grey_bgr_are_the_same_input() -> None:
    grey = make_region()
    bgr = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    assert np.array_equal(preprocess(grey, LETTERBOX), preprocess(bgr, LETTERBOX))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    before = cv2.getNumThreads()
    expected = preprocess(make_region(), LETTERBOX)
    try:
        cv2.setNumThreads(threads)
        assert np.array_equal(preprocess(make_region(), LETTERBOX), expected)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (7, 3), (2000, 33)])
@pytest.mark.parametrize("spec", [LETTERBOX, CROP])
def test_odd_regions_come_out_square(shape: tuple[int, int], spec: PreprocessingSpec) -> None:
    square = preprocess(np.full(shape, 9, dtype=np.uint8), spec)
    assert square.shape == (224, 224)
    assert square.max() == 9


@pytest.mark.parametrize(
    "bad",
    [np.zeros((0, 5), np.uint8), np.zeros((5, 5), np.float32), np.zeros((5,), np.uint8)],
)
def test_refuses_what_is_no_region(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="a region must be uint8"):
        preprocess(bad, LETTERBOX)


def test_a_spec_survives_json_and_refuses_what_it_does_not_know() -> None:
    assert PreprocessingSpec.from_json(CROP.to_json()) == CROP
    with pytest.raises(InputError, match="fit must be one of"):
        PreprocessingSpec.from_json({**CROP.to_json(), "fit": "stretch"})
    with pytest.raises(InputError, match="size_px must be"):
        PreprocessingSpec(size_px=8)
