"""What is told of a scanner's layout: real screens, through the real search for the region."""

from dataclasses import replace

import cv2

from neurosono.stream.capture.layout import Layout
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.pictures.region import Region
from neurosono.stream.processes.wire import Event
from neurosono.stream.screen.follow import Screen
from tests.stream.screen.drawn_screens import Mask, as_pictures, draw_screen, sector_mask

SHAPE = (600, 800)
SECTOR = sector_mask(SHAPE, apex=(400, 30), radii=(60, 500))
MOVED = sector_mask(SHAPE, apex=(500, 10), radii=(60, 400))
PLACE = Region(40, 50, 300, 200, "sector")


def draw(truth: Mask, count: int, begin: int = 0) -> list[Picture]:
    return as_pictures([draw_screen(truth, seed) for seed in range(count)], begin=begin)


def hear(pictures: list[Picture]) -> list[Event]:
    screen, layout = Screen(), Layout()
    screened = [each for picture in pictures for each in screen.push(picture)] + screen.flush()
    regions = [None if each.unsettled else each.region for each in screened]
    return [event for region in regions for event in layout.hear(region)]


def test_a_layout_that_stays_is_no_news() -> None:
    assert hear(draw(SECTOR, 30)) == []


def test_ultrasound_that_moved_is_told_once_with_its_new_place() -> None:
    (event,) = hear([*draw(SECTOR, 15), *draw(MOVED, 25, begin=15)])
    assert event.name == "layout-change"
    x, y, w, h = cv2.boundingRect(MOVED.astype("u1"))
    place = [event.fields[name] for name in ("x_px", "y_px", "w_px", "h_px")]
    assert all(abs(found - true) <= 12 for found, true in zip(place, (x, y, w, h), strict=True))


def test_masked_letters_are_told_once_at_each_place() -> None:
    layout = Layout()
    lettered = replace(PLACE, text=((10, 10, 30, 20), (50, 10, 30, 20)))
    assert layout.hear(PLACE) == []
    (event,) = layout.hear(lettered)
    assert (event.name, event.fields) == ("text-masked", {"boxes": 2, "area_share": 0.02})
    assert layout.hear(PLACE) == layout.hear(lettered) == [], "letters that come and go"
    assert layout.hear(None) == []
    told = layout.hear(replace(lettered, x=400))
    assert [each.name for each in told] == ["layout-change", "text-masked"]


def test_a_few_pixels_are_no_move() -> None:
    layout = Layout()
    assert layout.hear(PLACE) == layout.hear(replace(PLACE, x=42, w=298)) == []
