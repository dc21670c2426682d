"""Flow is Doppler; words, calipers, arrows, focus marks and logos in colour are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.phantom.notes import COLOURS, FONTS, Notes
from neurosono.stream.pictures.colour import has_doppler
from neurosono.stream.screen.find import find_region
from neurosono.stream.sources import open_source

Pixels = NDArray[np.uint8]
KINDS = {"bmode": False, "frozen": False, "nonfetal": False, "doppler": True}


def compressed(pixels: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def annotate(grey: Pixels, count: int, seed: int) -> Pixels:
    """Return a grey picture with so many coloured notes on it."""
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    box = (0, 0, grey.shape[1], grey.shape[0])
    Notes(count, np.random.default_rng(seed), box).draw(picture)
    return np.asarray(picture, dtype=np.uint8)


@pytest.mark.parametrize("notes", [0, 3, 12])
def test_phantoms_with_coloured_notes_are_told_from_flow(notes: int) -> None:
    wrong = {"doppler": 0, "others": 0}
    seen = dict.fromkeys(wrong, 0)
    for seed, label in ((21, "normal"), (22, "holoprosencephaly"), (23, "rachischisis")):
        spec = PhantomSpec(label, seed=seed, seconds=20, fps=3, notes=notes)
        frames = [frame for frame in exam_frames(spec) if frame.kind in KINDS]
        for frame in frames:
            x, y, w, h = frame.region
            found = has_doppler(frame.pixels[y : y + h, x : x + w])
            group = "doppler" if KINDS[frame.kind] else "others"
            seen[group] += 1
            wrong[group] += found != KINDS[frame.kind]
    assert seen["doppler"] > 10
    assert seen["others"] > 80
    assert wrong["doppler"] <= 0.05 * seen["doppler"], "flow that was missed"
    assert wrong["others"] <= 0.02 * seen["others"], "notes that were taken for flow"


@pytest.mark.parametrize("size", [0.5, 1.2, 2.4])
def test_words_of_every_font_and_colour_are_no_flow(size: float) -> None:
    rng = np.random.default_rng(4)
    ground = cv2.GaussianBlur(rng.gamma(2.0, 30.0, (400, 560)), (0, 0), 1.5)
    ground = np.clip(ground, 0, 255).astype(np.uint8)
    wrong = []
    for k, font in enumerate(FONTS):
        picture = cv2.cvtColor(ground, cv2.COLOR_GRAY2BGR)
        colour = COLOURS[k % len(COLOURS)]
        cv2.putText(picture, "BPD 52 mm", (20, 220), font, size, colour, max(1, int(2 * size)))
        wrong += [(font, q) for q in (50, 90) if has_doppler(compressed(picture, q))]
    assert len(wrong) <= 1, wrong


def test_nothing_is_too_small() -> None:
    for shape in ((1, 1, 3), (2, 2, 3), (3, 90, 3), (17, 16, 3)):
        has_doppler(np.full(shape, (255, 0, 0), dtype=np.uint8))


@pytest.mark.realdata
def test_real_heads_with_coloured_notes_are_no_flow(real_data: Path) -> None:
    files = sorted((real_data / "hc18_original").rglob("*_HC.png"))[::3]
    assert len(files) > 20
    wrong = 0
    for seed, file in enumerate(files):
        picture = annotate(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), 1 + seed % 12, seed)
        wrong += has_doppler(compressed(picture, 60 + seed % 40))
    assert wrong <= 0.03 * len(files)


@pytest.mark.realdata
def test_real_colour_and_power_doppler_is_found(real_data: Path) -> None:
    screens = real_data / "ucl_second_trimester_frames" / "tiff_frames"
    flowing = ("feet", "transventricular plane head circumference")
    for file in sorted(screens.glob("*.png")):
        pixels = cv2.imread(str(file))
        region = find_region([pixels])
        if region is not None:
            assert has_doppler(region.crop(pixels)) is (file.stem in flowing), file.name
    for name in ("data/US1_UNCR.dcm", "test_files/examples_rgb_color.dcm"):
        source = open_source([str(real_data / "dicom_us" / name)])
        (picture,) = source.pictures()
        assert has_doppler(picture.whole()), name


@pytest.mark.realdata
def test_real_screens_without_flow_have_none(real_data: Path) -> None:
    for file in sorted((real_data / "sononet_examples").rglob("*.png")):
        pixels = cv2.imread(str(file))
        region = find_region([pixels])
        assert region is not None
        assert not has_doppler(region.crop(pixels)), file.name
