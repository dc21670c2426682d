"""Names burned into the ultrasound are hidden whatever they stand on, and little else is."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.screen import letters
from neurosono.stream.screen.find import find_region
from neurosono.stream.screen.letters import find_letters
from neurosono.training.letters.fit import Background, cut_out
from neurosono.training.letters.legibility import (
    LIT_LEVEL,
    Name,
    cover,
    measure_hidden,
    measure_names,
    where_lit,
)
from neurosono.training.letters.typefaces import find_typefaces

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def bare_phantoms(count: int) -> list[Pixels]:
    """Return so many B-mode pictures, cut out of their screens."""
    found = []
    for seed in range(count):
        for frame in exam_frames(PhantomSpec("normal", seed=400 + seed, seconds=4, fps=2)):
            region = find_region([frame.pixels]) if frame.kind == "bmode" else None
            if region is not None:
                found.append(cv2.cvtColor(region.crop(frame.pixels), cv2.COLOR_BGR2GRAY))
                break
    return found


def mark_lit(pictures: list[Pixels]) -> list[tuple[Pixels, Mask]]:
    return [(p, where_lit(Background(p, np.zeros(p.shape, dtype=np.bool_)))) for p in pictures]


def share_legible(names: list[Name]) -> float:
    return float(np.mean([name.is_legible for name in names]))


@pytest.fixture(scope="module")
def phantoms() -> list[tuple[Pixels, Mask]]:
    return mark_lit(bare_phantoms(12))


def test_names_on_phantoms_are_hidden(phantoms: list[tuple[Pixels, Mask]]) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = [face for face in find_typefaces([folder]) if face.is_held_out]
    assert faces, "fonts that were never learnt from"
    names = measure_names(phantoms, faces, find_letters, 120, seed=3)
    lit = [name for name in names if name.is_lit]
    assert len(names) == 120
    assert len(lit) > 40, f"over tissue brighter than {LIT_LEVEL}"
    assert share_legible(names) <= 0.03
    assert share_legible(lit) <= 0.04
    blind = measure_names(phantoms, faces, lambda _: (), 20, seed=3)
    assert share_legible(blind) == 1.0, "what is not hidden counts as legible"


def test_bare_anatomy_is_left_alone(phantoms: list[tuple[Pixels, Mask]]) -> None:
    hidden = measure_hidden(phantoms, find_letters)
    assert float(np.mean(hidden)) <= 0.005


def test_a_network_that_was_written_is_read_to_be_taught_on(
    phantoms: list[tuple[Pixels, Mask]],
) -> None:
    torch = pytest.importorskip("torch")
    from neurosono.training.letters.network import read_network

    path = Path(letters.__file__).with_name("letters.onnx")
    picture = np.ascontiguousarray(phantoms[0][0][:256, :256])
    levels = torch.from_numpy(picture[None, None].astype(np.float32))
    with torch.no_grad():
        said = read_network(path)(levels).numpy()[0, 0]
    assert np.allclose(said, letters.LETTERS.find(picture), atol=1e-4)


def test_half_the_squares_show_a_mistake() -> None:
    ground = Background(
        np.full((600, 900), 80, np.uint8), np.zeros((600, 900), np.bool_), ((850, 560, 20, 12),)
    )
    ground.pixels[560:572, 850:870] = 255
    rng = np.random.default_rng(5)
    shown = [cut_out(ground, rng, 128).pixels.max() > 200 for _ in range(200)]
    plain = replace(ground, mistaken=())
    by_chance = [cut_out(plain, rng, 128).pixels.max() > 200 for _ in range(200)]
    assert sum(by_chance) < 40
    assert 70 < sum(shown) < 150


def test_a_phantom_without_its_screen_is_the_same_picture() -> None:
    spec = PhantomSpec("normal", seed=401, seconds=1, fps=1)
    ((whole,), (bare,)) = (exam_frames(each) for each in (spec, replace(spec, screen=False)))
    x, y, w, h = whole.region
    inside = np.zeros(whole.pixels.shape[:2], np.bool_)
    inside[y : y + h, x : x + w] = True
    assert not bare.pixels[~inside].any()
    assert whole.pixels[~inside].any()
    lit = bare.pixels > 0
    assert np.array_equal(whole.pixels[lit], np.maximum(whole.pixels, bare.pixels)[lit])
    assert lit.any()


@pytest.mark.parametrize("colour", [(0, 255, 255), (90, 255, 90), (255, 255, 0), (255, 255, 255)])
def test_words_in_colour_are_hidden(
    colour: tuple[int, int, int], phantoms: list[tuple[Pixels, Mask]]
) -> None:
    left = []
    for grey, _ in phantoms:
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        before = picture.copy()
        at = (grey.shape[1] // 3, grey.shape[0] // 2)
        cv2.putText(picture, "INVENTED, PAT", at, 0, 0.7, colour, 2, cv2.LINE_AA)
        strokes = np.any(cv2.absdiff(picture, before) > 60, axis=2)
        visible = strokes & ~cover(find_letters(picture), grey.shape)
        left.append(visible.sum() / strokes.sum())
    assert sum(share > 0.25 for share in left) <= 1


def test_letters_are_found_at_every_size_of_picture() -> None:
    for shape in ((8, 8), (7, 900), (61, 83), (300, 401), (1080, 1920)):
        picture = np.full(shape, 60, dtype=np.uint8)
        cv2.putText(picture, "NAME", (shape[1] // 3, shape[0] // 2), 0, 1.0, 255, 2)
        height, width = shape
        for x, y, w, h in find_letters(picture):
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
    assert find_letters(picture), "a name on a large screen"


@pytest.mark.realdata
def test_heads_lose_next_to_nothing(real_data: Path) -> None:
    """Inside the skull of HC18 nothing is written."""
    with (real_data / "hc18" / "hc18.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))[::12]
    grounds = []
    for row in rows:
        picture = cv2.imread(str(real_data / row["path"]), cv2.IMREAD_GRAYSCALE)
        inside = np.zeros(picture.shape, dtype=np.uint8)
        middle = (round(float(row["cx"])), round(float(row["cy"])))
        axes = (round(float(row["a"])), round(float(row["b"])))
        cv2.ellipse(inside, middle, axes, float(row["angle"]), 0, 360, 1, -1)
        grounds.append((np.asarray(picture, dtype=np.uint8), inside > 0))
    assert len(grounds) > 40
    assert float(np.mean(measure_hidden(grounds, find_letters))) <= 0.005


@pytest.mark.realdata
def test_names_on_real_heads_are_hidden(real_data: Path) -> None:
    files = sorted((real_data / "hc18_original").rglob("*_HC.png"))[::4]
    grounds = mark_lit([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files])
    folder = Path(pytest.importorskip("matplotlib").get_data_path()) / "fonts" / "ttf"
    faces = [face for face in find_typefaces([folder]) if face.is_held_out]
    names = measure_names(grounds, faces, find_letters, 120, seed=5)
    assert share_legible(names) <= 0.03
