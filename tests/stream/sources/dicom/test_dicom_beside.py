"""A picture beside other things (a spectrum, a trace, a second picture), as its header says."""

from collections import Counter

import numpy as np
import pytest
from pydicom.dataset import Dataset

from neurosono.stream.screen.find import find_region
from neurosono.stream.sources import open_source
from neurosono.stream.sources.left_out import Reason
from tests.stream.sources.dicom.test_dicom import GREY, RGB, make_dataset, read, save
from tests.support.cines import draw_frames

TRACE = {"RegionSpatialFormat": 3, "RegionDataType": 3, "PhysicalUnitsXDirection": 4}
COLOUR = {"RegionDataType": 2}


def region(left, top, right, bottom, delta=0.0125, **said):
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    item.RegionSpatialFormat = item.RegionDataType = 1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = delta
    for keyword, value in said.items():
        setattr(item, keyword, value)
    return item


def covered(frames, *boxes):
    """The frames with these boxes `(left, top, right, bottom)` black."""
    found = frames.copy()
    for left, top, right, bottom in boxes:
        found[:, top : bottom + 1, left : right + 1] = 0
    return found


LEFT, RIGHT, HALF = (0, 0, 39, 47), (40, 8, 63, 47), (40, 0, 63, 47)


@pytest.mark.parametrize(
    ("regions", "black", "left_out", "mm_per_px"),
    [
        ([region(*LEFT)], [], {}, 0.125),
        ([region(*LEFT), region(*RIGHT, **TRACE)], [RIGHT], {Reason.TRACE: 1}, 0.125),
        ([region(*RIGHT, **TRACE), region(*LEFT)], [RIGHT], {Reason.TRACE: 1}, 0.125),
        ([region(*LEFT), region(*RIGHT, delta=0.03)], [RIGHT], {Reason.SECOND_PICTURE: 1}, 0.125),
        ([region(*LEFT), region(10, 10, 30, 30, **COLOUR)], [], {}, 0.125),
        ([region(*LEFT, **COLOUR), region(*RIGHT)], [LEFT], {Reason.SECOND_PICTURE: 1}, 0.125),
        # an electrocardiogram along the picture's lower edge stays: it lies on it
        ([region(*LEFT), region(0, 40, 39, 47, **TRACE)], [], {}, 0.125),
        # what overlaps a little is black where the picture is not
        ([region(*LEFT), region(30, 0, 63, 47, **TRACE)], [HALF], {Reason.TRACE: 1}, 0.125),
        ([region(*RIGHT, **TRACE)], [RIGHT], {Reason.TRACE: 1}, None),
        ([region(0, 0, 63, 47, **TRACE)], [(0, 0, 63, 47)], {Reason.TRACE: 1}, None),
        # which way round a picture lies is not altered, and its scale is the same
        ([region(*LEFT, PhysicalDeltaX=-0.0125, PhysicalDeltaY=-0.0125)], [], {}, 0.125),
    ],
)  # fmt: skip
def test_what_lies_beside_the_picture_is_black_and_told(
    tmp_path, regions, black, left_out, mm_per_px
):
    for frames, kind in ((GREY, "MONOCHROME2"), (RGB, "RGB")):
        dataset = make_dataset(frames, kind, SequenceOfUltrasoundRegions=regions)
        source = open_source([str(save(dataset, tmp_path / f"{kind}.dcm"))])
        pictures = list(source.pictures())
        expected = covered(frames, *black)
        for picture, frame in zip(pictures, expected, strict=True):
            shown = frame if frame.ndim == 2 else frame[..., ::-1]
            np.testing.assert_array_equal(picture.pixels, shown)
            known = None if mm_per_px is None else pytest.approx(mm_per_px)
            assert picture.scale.mm_per_px == known
        assert Counter(each.reason for each in source.left_out) == left_out


def test_what_lies_beside_is_found_in_the_square_picture(tmp_path):
    regions = [region(*LEFT), region(*RIGHT, **TRACE)]
    wide = {"PixelAspectRatio": [1, 2], "SequenceOfUltrasoundRegions": regions}
    shown = read(save(make_dataset(GREY, "MONOCHROME2", **wide), tmp_path / "a.dcm"))
    assert shown[0].pixels.shape == (48, 128)
    assert not shown[0].pixels[8:, 80:].any()
    assert shown[0].pixels[8:, 40:80].any()


def outline(pictures):
    found = find_region(pictures)
    assert found is not None
    return found.x, found.y, found.w, found.h


def test_the_picture_beside_a_spectrum_is_the_one_that_is_judged(tmp_path):
    picture = draw_frames(4)
    height, width = picture.shape[1:]
    rng = np.random.default_rng(5)
    both = np.zeros((4, height, 2 * width), np.uint8)
    both[:, :, :width] = picture
    both[:, 20:220, width + 10 : width + 300] = rng.integers(90, 255, (4, 200, 290), np.uint8)
    spectrum = region(width, 0, 2 * width - 1, height - 1, **TRACE)
    said = {"SequenceOfUltrasoundRegions": [region(0, 0, width - 1, height - 1), spectrum]}
    path = save(make_dataset(both, "MONOCHROME2", **said), tmp_path / "a.dcm")
    found = outline([each.pixels for each in read(path)])
    assert found == outline([np.pad(each, ((0, 0), (0, width))) for each in picture])
    silent = save(make_dataset(both, "MONOCHROME2"), tmp_path / "b.dcm")
    assert outline([each.pixels for each in read(silent)]) != found, "the header is heeded"
