"""Following the scanner's screen: warm-up, moved layouts, nothing leaked on the way."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.pictures.region import Region
from neurosono.stream.screen.follow import LONGEST_TRANSITION, Screen, Screened
from tests.stream.screen.drawn_screens import (
    Mask,
    as_pictures,
    box_mask,
    draw_screen,
    overlap,
    sector_mask,
)

SHAPE = (600, 800)
SECTOR = sector_mask(SHAPE, apex=(400, -20), radii=(90, 560))
MOVED = sector_mask(SHAPE, apex=(250, 60), radii=(60, 420), half_angle_deg=30)
LINEAR = box_mask(SHAPE, 430, 60, 280, 480)


def run(screen: Screen, pictures: list[Picture]) -> list[Screened]:
    done = [each for picture in pictures for each in screen.push(picture)]
    return [*done, *screen.flush()]


def clip_of(truth: Mask, count: int, clip: int = 0, begin: int = 0) -> list[Picture]:
    screens = [draw_screen(truth, begin + k, clock=(begin + k) // 25) for k in range(count)]
    return as_pictures(screens, clip, begin)


def mask_of(screened: Screened) -> Mask:
    height, width = screened.picture.pixels.shape[:2]
    return screened.region.screen_mask(height, width) > 0


def leaked(screened: Screened, truth: Mask) -> int:
    """Count the lit pixels that were passed on though no tissue is there."""
    x, y = screened.region.x, screened.region.y
    height, width = screened.pixels.shape[:2]
    beside = ~truth[y : y + height, x : x + width]
    return int(np.count_nonzero(screened.pixels.reshape(height, width, -1).max(2)[beside] > 60))


def test_every_picture_comes_out_once_and_in_order() -> None:
    pictures = clip_of(SECTOR, 20)
    assert [s.picture.index for s in run(Screen(), pictures)] == list(range(20))


def test_warm_up_holds_back_and_then_keeps_pace() -> None:
    screen = Screen(warmup=4)
    counts = [len(screen.push(picture)) for picture in clip_of(SECTOR, 7)]
    assert counts == [0, 0, 0, 4, 1, 1, 1]
    assert screen.flush() == []


def test_clip_shorter_than_the_warm_up_comes_with_the_flush() -> None:
    screen = Screen(warmup=8)
    assert screen.push(clip_of(SECTOR, 1)[0]) == []
    (only,) = screen.flush()
    assert not only.unsettled
    assert overlap(mask_of(only), SECTOR) > 0.94


def test_region_is_kept() -> None:
    done = run(Screen(), clip_of(SECTOR, 30))
    assert not any(s.unsettled for s in done)
    assert len({(s.region.x, s.region.y, s.region.w, s.region.h) for s in done}) == 1
    assert overlap(mask_of(done[-1]), SECTOR) > 0.94
    assert max(leaked(s, SECTOR) for s in done) < 30


def test_every_still_of_an_exam_has_its_own_region() -> None:
    truths = [SECTOR, LINEAR, MOVED, LINEAR]
    pictures = [clip_of(truth, 1, clip=k, begin=k)[0] for k, truth in enumerate(truths)]
    done = run(Screen(), pictures)
    assert [s.picture.clip for s in done] == [0, 1, 2, 3]
    for screened, truth in zip(done, truths, strict=True):
        assert overlap(mask_of(screened), truth) > 0.93


def test_change_of_size_is_a_new_layout() -> None:
    small = [cv2.resize(p.pixels, (640, 480)) for p in clip_of(SECTOR, 10)]
    pictures = [*clip_of(SECTOR, 10), *as_pictures(small, 0, 10)]
    done = run(Screen(), pictures)
    assert [s.picture.index for s in done] == list(range(20))
    truth = cv2.resize(SECTOR.astype(np.uint8), (640, 480)) > 0
    assert overlap(mask_of(done[-1]), truth) > 0.93


@pytest.mark.parametrize("after", [MOVED, LINEAR], ids=["moved", "linear"])
def test_layout_that_moves_is_found_again_and_leaks_nothing(after: Mask) -> None:
    done = run(Screen(), [*clip_of(SECTOR, 15), *clip_of(after, 20, begin=15)])
    transition = [s for s in done[15:] if s.unsettled]
    assert 1 <= len(transition) <= LONGEST_TRANSITION
    assert all(s.pixels.max() == 0 for s in transition)
    assert max(leaked(s, after) for s in done[15:]) < 30
    assert overlap(mask_of(done[-1]), after) > 0.93


def test_dual_view_is_found_again() -> None:
    left = sector_mask(SHAPE, apex=(200, 30), radii=(60, 400), half_angle_deg=28)
    right = sector_mask(SHAPE, apex=(600, 30), radii=(60, 400), half_angle_deg=28)
    done = run(Screen(), [*clip_of(SECTOR, 10), *clip_of(left | right, 20, begin=10)])
    assert done[10].unsettled
    assert not done[-1].unsettled
    assert max(overlap(mask_of(done[-1]), each) for each in (left, right, left | right)) > 0.8
    assert max(leaked(s, left | right) for s in done[10:]) < 30


def test_clock_and_measurements_do_not_unsettle() -> None:
    screens = [draw_screen(SECTOR, k, clock=k) for k in range(30)]
    for screen in screens[12:]:
        cv2.putText(screen, "BPD 52.1 mm  21w6d", (30, 560), 0, 0.5, (0, 255, 255), 1, cv2.LINE_AA)
    done = run(Screen(), as_pictures(screens))
    assert not any(s.unsettled for s in done)
    assert max(leaked(s, SECTOR) for s in done) < 30


def test_probe_lifted_off_does_not_unsettle() -> None:
    lifted = [cv2.convertScaleAbs(p.pixels, alpha=0.3) for p in clip_of(SECTOR, 10, begin=10)]
    pictures = [*clip_of(SECTOR, 10), *as_pictures(lifted, 0, 10)]
    for dark, lit in zip(pictures[10:], pictures[:10], strict=True):
        beside = ~SECTOR
        dark.pixels[beside] = lit.pixels[beside]
    done = run(Screen(), pictures)
    assert not any(s.unsettled for s in done)


def test_menu_over_the_picture_is_blanked_until_it_is_gone() -> None:
    menu = np.zeros((*SHAPE, 3), dtype=np.uint8)
    menu[40:580, 20:780] = (52, 48, 44)
    for y in range(80, 560, 28):
        cv2.putText(menu, "Name  Jane Doe   Date 1.1.2099", (60, y), 0, 0.6, (230, 230, 230), 1)
    pictures = [
        *clip_of(SECTOR, 10),
        *as_pictures([menu] * 30, 0, 10),
        *clip_of(SECTOR, 30, begin=40),
    ]
    done = run(Screen(), pictures)
    assert all(s.unsettled and s.pixels.max() == 0 for s in done[10:40])
    assert not done[-1].unsettled
    assert overlap(mask_of(done[-1]), SECTOR) > 0.93


def test_black_screen_stays_blanked_until_something_shows() -> None:
    nothing = np.zeros(SHAPE, dtype=np.bool_)
    done = run(Screen(), [*clip_of(nothing, 20), *clip_of(SECTOR, 30, begin=20)])
    assert all(s.unsettled and s.pixels.max() == 0 for s in done[:20])
    assert not done[-1].unsettled
    assert overlap(mask_of(done[-1]), SECTOR) > 0.93


def test_region_that_shrinks_within_itself_is_taken_over_in_time() -> None:
    smaller = sector_mask(SHAPE, apex=(400, 120), radii=(90, 400), half_angle_deg=33)
    done = run(Screen(), [*clip_of(SECTOR, 8), *clip_of(smaller, 100, begin=8)])
    assert not any(s.unsettled for s in done)
    assert overlap(mask_of(done[-1]), smaller) > 0.93


def test_region_of_the_user_wins_at_once() -> None:
    user = Region(100, 50, 300, 200, "user")
    (only,) = Screen(user).push(clip_of(SECTOR, 1)[0])
    assert only.region is user
    assert not only.unsettled
    assert only.pixels.shape == (200, 300)  # grey, as it carries no colour


def test_region_of_the_user_must_lie_on_the_first_picture() -> None:
    with pytest.raises(InputError, match="outside the picture"):
        Screen(Region(900, 0, 10, 10, "user")).push(clip_of(SECTOR, 1)[0])
    with pytest.raises(InputError, match=r"beyond the picture.*give 700,10,100,590"):
        Screen(Region(700, 10, 101, 700, "user")).push(clip_of(SECTOR, 1)[0])


def test_later_picture_without_the_region_of_the_user_is_blanked() -> None:
    screen = Screen(Region(700, 500, 50, 50, "user"))
    screen.push(clip_of(SECTOR, 1)[0])
    small = np.full((200, 300, 3), 99, dtype=np.uint8)
    (late,) = screen.push(Picture(1, 1, 0.1, small))
    assert late.unsettled
    assert late.pixels.max() == 0


def test_whole_screen_is_shown_only_when_asked_for() -> None:
    pictures = clip_of(SECTOR, 3)
    hidden, open_ = run(Screen(), pictures), run(Screen(show_screen=True), pictures)
    assert hidden[0].shown is hidden[0].pixels
    assert open_[0].shown is pictures[0].pixels
    assert np.array_equal(open_[0].pixels, hidden[0].pixels)


def test_warm_up_needs_a_picture() -> None:
    with pytest.raises(InputError, match="warm-up"):
        Screen(warmup=0)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2, 300), (16, 16, 3)])
def test_tiny_pictures_pass(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    pixels = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(12)]
    assert len(run(Screen(), as_pictures(pixels))) == 12


def decode(file: Path, count: int) -> list[NDArray[np.uint8]]:
    frames: list[NDArray[np.uint8]] = []
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="bgr24"))
            if len(frames) == count:
                break
    return frames


@pytest.mark.realdata
def test_cropped_clips_stay_whole_and_settled(real_data: Path) -> None:
    files = sorted((real_data / "pocus_lung_videos").glob("Reg_pat*.mpeg"))[::4]
    assert files
    for file in files:
        done = run(Screen(), as_pictures(decode(file, 60)))
        assert not any(s.unsettled for s in done), file.name
        assert mask_of(done[-1]).mean() > 0.75, file.name


@pytest.mark.realdata
def test_point_of_care_screen_loses_its_text(real_data: Path) -> None:
    file = real_data / "itkpocus_phantom" / "data" / "sonosite-anon-eye1-video.mp4"
    done = run(Screen(), as_pictures(decode(file, 30)))
    assert not any(s.unsettled for s in done)
    mask = mask_of(done[-1])
    assert not mask[645:].any(), "maker, preset, settings"
    assert not mask[:, :370].any(), "measurements"
    assert mask[60:620, 400:710].mean() > 0.97, "the picture, but for a few marks on it"
