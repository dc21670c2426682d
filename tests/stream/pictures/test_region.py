"""The ultrasound region: what it is, how it is read, where it is found."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.pictures.region import Region, parse_region
from neurosono.stream.screen.find import find_region, with_text
from tests.stream.screen.drawn_screens import (
    TEXT_ROWS,
    box_mask,
    draw_screen,
    overlap,
    sector_mask,
    speckle,
    write_chrome,
)

SHAPE = (600, 800)
SECTOR = sector_mask(SHAPE, apex=(400, -20), radii=(90, 560))
PHASED = sector_mask(SHAPE, apex=(400, 50), radii=(0, 520), half_angle_deg=42)
LINEAR = box_mask(SHAPE, 230, 60, 340, 500)


def test_crop_blanks_what_lies_outside_the_hull() -> None:
    hull = np.array([[0, 0], [9, 0], [9, 9]], dtype=np.int32)
    region = Region(2, 1, 10, 10, "sector", hull)
    cut = region.crop(np.full((20, 20, 3), 200, dtype=np.uint8))
    assert cut.shape == (10, 10, 3)
    assert (cut[0, 9] == 200).all()
    assert (cut[9, 0] == 0).all()


def test_crop_is_a_copy() -> None:
    pixels = np.full((8, 8), 7, dtype=np.uint8)
    Region(0, 0, 8, 8, "full").crop(pixels)[:] = 0
    assert (pixels == 7).all()


def test_crop_blanks_letters() -> None:
    region = Region(0, 0, 8, 8, "full", None, ((2, 3, 4, 2),))
    cut = region.crop(np.full((8, 8), 9, dtype=np.uint8))
    assert cut.sum() == 9 * (64 - 8)


def test_region_is_clipped_to_the_picture() -> None:
    assert Region(4, 4, 10, 10, "user").crop(np.ones((9, 8), dtype=np.uint8)).shape == (5, 4)


def test_region_outside_the_picture_says_so() -> None:
    with pytest.raises(InputError, match="outside the picture, which is 8 x 9"):
        Region(8, 0, 3, 3, "user").crop(np.ones((9, 8), dtype=np.uint8))


@pytest.mark.parametrize(
    ("box", "kind"), [((-1, 0, 4, 4), "user"), ((0, 0, 0, 4), "user"), ((0, 0, 4, 4), "round")]
)
def test_region_is_validated(box: tuple[int, int, int, int], kind: str) -> None:
    with pytest.raises(InputError):
        Region(*box, kind)


def test_hull_is_validated() -> None:
    with pytest.raises(InputError, match="hull"):
        Region(0, 0, 4, 4, "sector", np.zeros((2, 2), dtype=np.int32))


def test_parse_region_reads_four_numbers() -> None:
    region = parse_region("120, 40,640,480")
    assert (region.x, region.y, region.w, region.h, region.kind) == (120, 40, 640, 480, "user")


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "-1,0,5,5", "0,0,0,5"]
)
def test_parse_region_says_what_is_wrong(text: str) -> None:
    with pytest.raises(InputError, match="--region"):
        parse_region(text)


@pytest.mark.parametrize("truth", [SECTOR, PHASED, LINEAR], ids=["sector", "phased", "linear"])
@pytest.mark.parametrize("colour", [True, False], ids=["bgr", "grey"])
@pytest.mark.parametrize("count", [1, 4])
def test_drawn_screen_is_found(truth: np.ndarray, colour: bool, count: int) -> None:
    screens = [draw_screen(truth, seed, colour=colour) for seed in range(count)]
    region = find_region(screens)
    assert region is not None
    found = region.screen_mask(*SHAPE) > 0
    assert overlap(found, truth) > 0.94
    assert np.count_nonzero(found & truth) > 0.97 * np.count_nonzero(truth)


@pytest.mark.parametrize("truth", [SECTOR, PHASED, LINEAR], ids=["sector", "phased", "linear"])
def test_what_is_written_around_is_blanked(truth: np.ndarray) -> None:
    letters = np.zeros((*SHAPE, 3), dtype=np.uint8)
    write_chrome(letters)
    beside = (letters.max(axis=2) > 0) & ~truth
    region = find_region([draw_screen(truth, seed) for seed in range(3)])
    assert region is not None
    shown = beside & (region.screen_mask(*SHAPE) > 0)
    # Nothing but ticks where the outline's slack of two or three pixels meets them.
    assert np.count_nonzero(shown) <= 0.002 * np.count_nonzero(beside)


def test_name_over_the_tissue_is_blanked() -> None:
    truth = box_mask(SHAPE, 100, 0, 600, 600)
    screens = [draw_screen(truth, seed) for seed in range(2)]
    for screen in screens:
        cv2.putText(screen, "DOE, JANE", (300, 200), 0, 0.7, (255, 255, 255), 2, cv2.LINE_AA)
    region = find_region(screens)
    assert region is not None
    region = with_text(region, region.crop(screens[0]))
    left = cv2.absdiff(region.crop(screens[0]), region.crop(draw_screen(truth, 0)))
    assert np.count_nonzero(left.max(axis=2) > 60) < 60


@pytest.mark.parametrize("shape", [(260, 260), (661, 959), (1080, 1920), (200, 900)])
def test_cropped_picture_is_taken_whole(shape: tuple[int, int]) -> None:
    region = find_region([speckle(shape, 3)])
    assert region is not None
    assert region.screen_mask(*shape).mean() > 0.97 * 255


def test_halves_parted_by_fluid_are_one_sector() -> None:
    lake = box_mask(SHAPE, 330, 0, 140, 600)
    screen = draw_screen(SECTOR & ~lake)
    region = find_region([screen])
    assert region is not None
    assert overlap(region.screen_mask(*SHAPE) > 0, SECTOR) > 0.9


def test_shadowed_side_is_known_from_the_other() -> None:
    dark = sector_mask(SHAPE, (560, 330), (0, 90), 180) & ~sector_mask(SHAPE, (400, -20), (0, 330))
    region = find_region([draw_screen(SECTOR & ~dark)])
    assert region is not None
    assert overlap(region.screen_mask(*SHAPE) > 0, SECTOR) > 0.94


def test_thumbnails_are_left_out() -> None:
    screen = draw_screen(SECTOR)
    for y in range(200, 560, 90):
        screen[y : y + 80, 24:124] = cv2.resize(draw_screen(SECTOR, y, chrome=False), (100, 80))
    region = find_region([screen])
    assert region is not None
    assert overlap(region.screen_mask(*SHAPE) > 0, SECTOR) > 0.94


def test_black_that_was_turned_up_is_still_black() -> None:
    raised = cv2.add(draw_screen(SECTOR, colour=False), np.full(SHAPE, 40, dtype=np.uint8))
    region = find_region([raised])
    assert region is not None
    assert overlap(region.screen_mask(*SHAPE) > 0, SECTOR) > 0.93


def test_small_picture_torn_by_shadows_is_taken_whole() -> None:
    torn = speckle((256, 256), 1)
    torn[:, 60:120] = 0
    torn[120:190, 120:] = 0
    torn[190:, 120:160] = 0
    region = find_region([torn])
    assert region is not None
    assert region.kind == "full"


def test_menu_is_no_ultrasound() -> None:
    screen = np.zeros((*SHAPE, 3), dtype=np.uint8)
    screen[60:560, 120:760] = (38, 34, 30)
    write_chrome(screen)
    for y in range(90, 540, 28):
        cv2.putText(screen, "Name  Jane Doe   Date 1.1.2099", (150, y), 0, 0.5, (220, 220, 220), 1)
    assert find_region([screen]) is None


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_even_screen_has_no_region(level: int) -> None:
    assert find_region([np.full(SHAPE, level, dtype=np.uint8)]) is None


def test_black_screen_with_a_name_has_no_region() -> None:
    screen = np.zeros((*SHAPE, 3), dtype=np.uint8)
    write_chrome(screen)
    assert find_region([screen]) is None


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    colour=st.booleans(),
    kind=st.sampled_from(["noise", "black", "white", "lines", "half"]),
    seed=st.integers(0, 9),
)
@example(height=14, width=25, colour=True, kind="half", seed=0)  # two echoes tell no parabola
def test_no_picture_is_too_odd(height: int, width: int, colour: bool, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (height, width, 3) if colour else (height, width)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    if kind in ("black", "white"):
        pixels[:] = 0 if kind == "black" else 255
    if kind == "lines":
        pixels[::2] = 0
    if kind == "half":
        pixels[:, width // 2 :] = 0
    region = find_region([pixels])
    if region is not None:
        assert region.fits(height, width)
        assert region.crop(pixels).shape[:2] == (region.h, region.w)


@pytest.mark.parametrize(
    ("label", "seed"), [("normal", 3), ("rachischisis", 11), ("encephalocele", 5)]
)
def test_phantom_region_is_found(label: str, seed: int) -> None:
    frames = []
    for frame in exam_frames(PhantomSpec(label, seed=seed, seconds=6)):
        frames.append(frame)
        if len(frames) == 8:
            break
    region = find_region([frame.pixels for frame in frames])
    assert region is not None
    x, y, w, h = frames[0].region
    truth = box_mask(frames[0].pixels.shape[:2], x, y, w, h)
    found = box_mask(frames[0].pixels.shape[:2], region.x, region.y, region.w, region.h)
    assert overlap(found, truth) > 0.9


@pytest.mark.realdata
def test_whole_screens_lose_their_text(real_data: Path) -> None:
    files = sorted((real_data / "sononet_examples").rglob("*.png"))
    assert files
    for file in files:
        region = find_region([cv2.imread(str(file))])
        assert region is not None, file.name
        mask = region.screen_mask(735, 975)
        assert mask[:45].max() == 0, f"{file.name}: the line with probe, date and name"
        assert mask[90:260, 925:].mean() < 0.35 * 255, f"{file.name}: the column of settings"
        assert mask[300:600, 250:600].mean() > 0.9 * 255, f"{file.name}: the middle"


@pytest.mark.realdata
def test_consoles_lose_thumbnails_and_buttons(real_data: Path) -> None:
    files = sorted((real_data / "ucl_second_trimester_frames").rglob("*.png"))
    assert files
    for file in files:
        region = find_region([cv2.imread(str(file))])
        if region is None:
            continue
        mask = region.screen_mask(480, 768)
        assert mask[:, :185].max() == 0, f"{file.name}: thumbnails"
        assert mask[415:].max() == 0, f"{file.name}: buttons"
    menus = [find_region([cv2.imread(str(f))]) for f in files if f.stem in ("bladder", "intestine")]
    assert menus == [None, None]


@pytest.mark.realdata
def test_cropped_stills_keep_their_pixels(real_data: Path) -> None:
    files = sorted((real_data / "fpdb_brain_fullres").rglob("*.png"))[::10]
    assert files
    shares = []
    for file in files:
        region = find_region([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)])
        assert region is not None, file.name
        shares.append(region.screen_mask(661, 959).mean() / 255)
    assert min(shares) > 0.6
    assert float(np.median(shares)) > 0.9


def test_text_rows_of_the_drawn_screens_hold_text() -> None:
    assert draw_screen(SECTOR)[:TEXT_ROWS].max() > 200
