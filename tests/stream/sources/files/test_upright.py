"""What a converted picture leaves behind: nothing."""

import gc
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.stream.pictures.picture import Picture
from neurosono.stream.pictures.region import Region
from neurosono.stream.sources.files.upright import FrameConverter
from tests.stream.sources.conftest import write_clip


@pytest.mark.parametrize("degrees", [0, 90])
def test_no_decoded_picture_outlives_its_conversion(
    degrees: int, tmp_path: Path, no_collector: None
) -> None:
    clip = write_clip(
        tmp_path / "clip.mkv",
        pictures=12,
        prepare=lambda stream: stream.set_display_rotation(degrees) if degrees else None,
    )
    converter = FrameConverter()
    with av.open(str(clip)) as container:
        pictures = (converter.convert(frame, None)[0] for frame in container.decode(video=0))
        shapes = {pixels.shape[:2] for pixels in pictures}
        left = [each for each in gc.get_objects() if type(each) is av.VideoFrame]
    assert shapes == ({(64, 48)} if degrees else {(48, 64)})
    assert len(left) <= 1, "the decoder itself may hold the latest"


def screen_px(width: int, height: int) -> NDArray[np.uint8]:
    """Return grey grain with a red square at 10, 10 to 30, 30."""
    grain = np.random.default_rng(3).integers(0, 256, (height // 4, width // 4), dtype=np.uint8)
    grey = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    pixels[10:30, 10:30] = (20, 20, 220)
    return pixels


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("size_px", [(160, 120), (161, 121)])
def test_a_grey_region_of_a_coloured_screen_is_taken_from_the_luma(
    pixel_format: str, size_px: tuple[int, int]
) -> None:
    width, height = size_px
    frame = av.VideoFrame.from_ndarray(screen_px(width, height), "bgr24").reformat(
        format=pixel_format
    )
    pixels, chroma = FrameConverter().convert(frame, None)
    picture = Picture(0, 0, 0.0, pixels, chroma=chroma)
    bgr = frame.to_ndarray(format="bgr24")
    assert pixels.shape == (height, width)
    assert np.array_equal(picture.whole(), bgr), "the screen as a whole has colour"
    beside = picture.crop(Region(41, 37, 101, 71, "linear"))
    grey = cv2.cvtColor(bgr[37:108, 41:142], cv2.COLOR_BGR2GRAY)
    assert beside.shape == (71, 101), "a region without colour travels as one plane"
    assert np.abs(beside.astype(int) - grey).max() <= 2
    over = picture.crop(Region(5, 7, 101, 71, "linear"))
    assert np.array_equal(over, bgr[7:78, 5:106]), "where colour is, it is kept"


def test_colour_beside_the_outline_is_not_the_region_s() -> None:
    frame = av.VideoFrame.from_ndarray(screen_px(160, 120), "bgr24").reformat(format="yuv420p")
    pixels, chroma = FrameConverter().convert(frame, None)
    picture = Picture(0, 0, 0.0, pixels, chroma=chroma)
    outline = np.array([[60, 0], [150, 0], [150, 100], [60, 100]], dtype=np.int32)
    assert picture.crop(Region(5, 5, 155, 105, "sector", outline)).ndim == 2
    outline[[0, 3], 0] = 15
    assert picture.crop(Region(5, 5, 155, 105, "sector", outline)).ndim == 3
    letters = ((0, 0, 30, 30),)
    hidden = Region(5, 5, 155, 105, "sector", outline, letters)
    assert picture.crop(hidden).ndim == 2, "coloured letters are blanked, and no colour is left"
