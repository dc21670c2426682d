"""Numbers drawn into pictures and read back."""

import cv2
import numpy as np
import pytest

from neurosono.stream.bench.glass import COUNT, ROW_PX, GlassLog, draw_number, find_row, read_number


def speckle(seed: int, shape: tuple[int, ...] = (300, 500)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grey = cv2.GaussianBlur(rng.gamma(2.0, 30.0, shape).clip(0, 255).astype(np.uint8), (0, 0), 1.2)
    return np.asarray(grey)


@pytest.mark.parametrize("number", [0, 1, 2, 5461, 8191, 8192, COUNT - 1])
def test_a_number_is_read_where_it_was_drawn_and_found(number: int) -> None:
    picture = speckle(number)
    draw_number(picture, number, (70, 111))
    assert read_number(picture, (70, 111)) == number
    assert find_row(picture, number) == (70, 111)


def test_numbers_begin_anew_after_the_last() -> None:
    picture = speckle(3)
    draw_number(picture, COUNT + 7, (0, 0))
    assert read_number(picture, (0, 0)) == 7


def test_a_colour_picture_carries_it_too_and_compression_does_not_hurt_it() -> None:
    picture = np.repeat(speckle(4)[..., None], 3, axis=2)
    draw_number(picture, 1234, (16, 40))
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])
    again = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    assert read_number(again, (16, 40)) == 1234


def test_tissue_is_no_number() -> None:
    assert read_number(speckle(5), (70, 111)) is None
    assert find_row(speckle(5), 9) is None
    assert read_number(speckle(6), (499 - ROW_PX[1] + 10, 0)) is None
    assert find_row(np.zeros((4, 4), np.uint8), 0) is None


def canvas(number: int) -> np.ndarray:
    picture = speckle(number)
    draw_number(picture, number, (20, 50))
    return picture


def test_pictures_in_order_leave_no_mark() -> None:
    log = GlassLog(period=4)
    assert [log.look(canvas(index % 4), index) for index in range(10)] == list(range(10))
    assert set(log.describe().values()) == {0, 10}


def test_a_skipped_picture_is_no_fault_but_a_repeated_or_late_one_is() -> None:
    log = GlassLog(period=100)
    shows = [(0, 0), (2, 2), (2, 3), (1, 4), (5, 5)]  # number in the pixels, index it claims
    seen = [log.look(canvas(number), index) for number, index in shows]
    assert seen == [0, 2, 2, 1, 5]
    found = log.describe()
    assert found["shown_twice"] == 1
    assert found["out_of_order"] == 1
    assert found["not_the_picture_it_claims"] == 2
    assert found["unreadable"] == 0


def test_a_canvas_without_a_number_is_counted() -> None:
    log = GlassLog(period=100)
    assert log.look(speckle(1), 0) is None
    assert log.describe()["unreadable"] == 1
