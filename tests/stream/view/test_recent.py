"""What is remembered of the newest pictures, and what somebody froze."""

import numpy as np

from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.stream.view.recent import MAX_PINNED, MOST, Recent
from tests.stream.view.test_viewer import make_picture, make_result


def see(recent: Recent, *indices: int, seq: bool = True) -> None:
    for index in indices:
        recent.see(make_picture(index, index if seq else None))


def test_a_picture_is_remembered_for_a_second() -> None:
    recent = Recent()
    see(recent, *range(40))  # at 25 Hz
    assert recent.find(39) is not None
    assert recent.find(14) is not None
    assert recent.find(13) is None
    assert recent.region_of(13) is None


def test_however_fast_they_come_there_are_no_more_than_so_many() -> None:
    recent = Recent()
    for index in range(200):
        recent.see(DisplayFrame("s", index, index, 0.0, np.zeros((4, 4), np.uint8), index))
    assert [recent.find(200 - MOST - 1), recent.find(200 - MOST) is None] == [None, False]


def test_a_frozen_picture_stays_until_its_viewer_goes_on() -> None:
    recent = Recent()
    see(recent, 3)
    recent.pin(7, 3)
    see(recent, *range(4, 90))
    frozen = recent.find(3)
    assert frozen is not None
    assert frozen.index == 3
    recent.pin(8, 3)  # another screen froze the same, from what is frozen
    recent.pin(7, None)
    assert recent.find(3) is not None
    recent.pin(8, None)
    assert recent.find(3) is None


def test_frozen_screens_have_an_end() -> None:
    recent = Recent()
    see(recent, *range(MAX_PINNED + 1))
    for viewer in range(MAX_PINNED + 1):
        recent.pin(viewer, viewer)
    see(recent, *range(100, 130))
    assert recent.find(MAX_PINNED - 1) is not None
    assert recent.find(MAX_PINNED) is None


def test_a_heatmap_may_come_before_its_picture() -> None:
    recent = Recent()
    heatmap = recent.hear(make_result(5))
    see(recent, 5)
    assert heatmap is not None
    assert recent.heatmap_of(5) is heatmap
    assert recent.hear(make_result(6, cam=False)) is None
    assert recent.heatmap_of(6) is None
