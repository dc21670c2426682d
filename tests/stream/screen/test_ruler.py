"""The depth ruler: read where its lengths say what a step is, and left alone where they do not."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from neurosono.stream.screen.ruler import read_ruler

SIZE = (661, 959)


def _draw_ground(seed: int) -> np.ndarray:
    """Return speckle with a sector's dark margins, as a scanner's screen has it."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 40, SIZE), (0, 0), 2.0) * 3 + 50
    x = np.arange(SIZE[1])[None, :]
    y = np.arange(SIZE[0])[:, None]
    grain[(x < 150 - 0.3 * y) | (x > SIZE[1] - 100 + 0.2 * y)] = 4
    return np.clip(grain, 0, 160).astype(np.uint8)


def _draw_ruler(
    picture: np.ndarray,
    spacing: float,
    *,
    x: int = 28,
    first: float = 9.0,
    phase: int = 4,
    lengths: tuple[int, int, int] = (1, 4, 10),
    cycle: int = 10,
) -> None:
    """Draw short, middle and long ticks; `phase` is the number of the first long one."""
    count = int((SIZE[0] - first) / spacing)
    for k in range(count):
        y = round(first + k * spacing)
        kind = 2 if (k - phase) % cycle == 0 else (1 if (k - phase) % 2 == 0 else 0)
        picture[y : y + 2, x : x + lengths[kind]] = 230


@pytest.mark.parametrize("spacing", [16.3, 26.0, 37.7, 54.1])
@pytest.mark.parametrize("x", [28, 931])
def test_a_ruler_is_read_to_a_third_of_a_per_cent(spacing: float, x: int) -> None:
    picture = _draw_ground(1)
    _draw_ruler(picture, spacing, x=x)
    found = read_ruler(picture)
    assert found is not None
    assert found.mm_per_px == pytest.approx(5 / spacing, rel=0.0033)
    assert abs(found.x_px - x) < 12


def test_other_marks_beside_it_do_no_harm() -> None:
    picture = _draw_ground(2)
    _draw_ruler(picture, 31.4)
    picture[20:200, 2:12] = np.linspace(255, 0, 180)[:, None].astype(np.uint8)  # the grey bar
    cv2.putText(picture, "S10 2. Trim.", (40, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (220,), 1)
    cv2.fillPoly(picture, [np.array([[45, 300], [45, 310], [51, 305]], np.int32)], (230,))
    found = read_ruler(picture)
    assert found is not None
    assert found.mm_per_px == pytest.approx(5 / 31.4, rel=0.0033)


@pytest.mark.parametrize("seed", range(6))
def test_without_a_ruler_nothing_is_read(seed: int) -> None:
    assert read_ruler(_draw_ground(seed)) is None
    assert read_ruler(np.zeros(SIZE, np.uint8)) is None
    text = _draw_ground(seed)
    for k in range(16):
        cv2.putText(text, f"Gn {k} / 4", (10, 20 + 38 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230,))
    assert read_ruler(text) is None


def test_lengths_that_say_nothing_are_not_read() -> None:
    even = _draw_ground(3)
    _draw_ruler(even, 31.4, lengths=(4, 4, 4))
    assert read_ruler(even) is None
    fives = _draw_ground(3)
    _draw_ruler(fives, 31.4, lengths=(3, 3, 10), cycle=5)
    assert read_ruler(fives) is None


def test_strokes_at_uneven_distances_are_not_read() -> None:
    rng = np.random.default_rng(4)
    picture = _draw_ground(4)
    for k in range(20):
        y = round(10 + 31 * k + rng.uniform(-9, 9))
        picture[y : y + 2, 28 : 28 + (10 if k % 10 == 4 else 4 if k % 2 == 0 else 1)] = 230
    assert read_ruler(picture) is None


def test_two_rulers_that_contradict_are_not_read() -> None:
    picture = _draw_ground(5)
    _draw_ruler(picture, 31.4, x=28)
    _draw_ruler(picture, 26.0, x=931)
    assert read_ruler(picture) is None


def test_a_picture_squeezed_to_a_square_has_no_scale_of_its_width() -> None:
    picture = _draw_ground(6)
    _draw_ruler(picture, 31.4)
    assert read_ruler(picture) is not None
    assert read_ruler(cv2.resize(picture, (661, 661), interpolation=cv2.INTER_NEAREST)) is None


def test_a_scale_that_no_scanner_has_is_not_read() -> None:
    picture = np.zeros((2400, 3200), np.uint8)
    for k in range(280):
        y = round(10 + k * 8.4)
        picture[y : y + 2, 8 : 8 + (12 if k % 10 == 4 else 4 if k % 2 == 0 else 1)] = 230
    assert read_ruler(picture) is None


@pytest.mark.realdata
def test_real_rulers(real_data: Path) -> None:
    """Three in four pictures of Voluson scanners show one that is sure, and HC18's show none.

    Where somebody measured the scale by hand (of the E6 alone, whose pictures were not made
    smaller afterwards), nine in ten agree within three per cent.
    """
    with (real_data / "fpdb_planes/planes.csv").open() as file:
        lines = [
            line
            for line in csv.DictReader(file)
            if line["width"] == "959" and line["machine"] == "Voluson E6" and not line["copy_of"]
        ][::4]
    with (real_data / "fpdb_brain_fullres/landmarks_bpd_ofd_FP_Head.csv").open() as file:
        rates = {line["image_name"][:-4]: line["px_to_mm_rate"] for line in csv.DictReader(file)}
    found, off = 0, []
    for line in lines:
        grey = cv2.imread(str(real_data / line["path"]), cv2.IMREAD_GRAYSCALE)
        ruler = read_ruler(np.asarray(grey, np.uint8))
        found += ruler is not None
        if ruler is not None and line["image"] in rates:
            off.append(abs(ruler.mm_per_px / float(rates[line["image"]]) - 1))
    assert found >= 0.75 * len(lines)
    assert len(off) >= 8
    assert np.mean(np.array(off) < 0.03) >= 0.9
    for path in sorted((real_data / "fpdb_planes/square640").glob("*.jpg"))[::40]:
        assert read_ruler(np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))) is None
    for path in sorted((real_data / "hc18_original/images").glob("*.png"))[::6]:
        assert read_ruler(np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))) is None
