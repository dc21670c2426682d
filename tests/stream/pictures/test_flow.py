"""Flow is Doppler; words, calipers, arrows, focus marks and logos in colour are not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.stream.intake.flow_watch import FlowWatch
from neurosono.stream.phantom.notes import COLOURS, FONTS, Notes
from neurosono.stream.phantom.spec import PhantomSpec
from neurosono.stream.phantom.studio import Studio
from neurosono.stream.phantom.sweep import plan_exam
from neurosono.stream.pictures.colour import find_coloured
from neurosono.stream.pictures.flow import Box
from neurosono.stream.screen.find import find_region
from neurosono.stream.screen.letters import find_letters
from neurosono.stream.sources import open_source

Pixels = NDArray[np.uint8]

SEEN_SHARE = 0.003
"""Of a picture: flow that covers less, between two beats or behind notes, need not be found."""
MOST_MISSED, MOST_FALSE = 0.04, 0.01
FIRST_SEED = 300
EXAMS = 24
MOMENTS = 3
"""Of each stretch with flow: pictures at so many of its times."""


def has_doppler(pixels: Pixels, text: Sequence[Box] = ()) -> bool:
    """Whether a first frame is taken for Doppler."""
    return FlowWatch().sees_flow(pixels, text, moved=False)


def compressed(pixels: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def annotate(bare: Pixels, count: int, seed: int) -> Pixels:
    """Return a picture with so many coloured notes on it."""
    picture = bare.copy() if bare.ndim == 3 else cv2.cvtColor(bare, cv2.COLOR_GRAY2BGR)
    box = (0, 0, picture.shape[1], picture.shape[0])
    Notes(count, np.random.default_rng(seed), box).draw(picture)
    return np.asarray(picture, dtype=np.uint8)


def share_of_flow(bare: Pixels, annotated: Pixels) -> float:
    """Return which share of a generated frame shows flow beside the notes and the box's line."""
    blue, green, red = (channel.astype(int) for channel in cv2.split(bare))
    flow = np.maximum(abs(blue - green), abs(red - green)) > 50
    flow &= ~np.all(bare == (90, 220, 220), axis=2) & ~np.any(bare != annotated, axis=2)
    return float(flow.mean())


def generated() -> Iterator[tuple[Pixels, bool]]:
    """Yield regions of generated exams, and whether the scanner showed flow; few without."""
    for seed in range(FIRST_SEED, FIRST_SEED + EXAMS):
        spec = PhantomSpec(DEFAULT_LABELS[seed % len(DEFAULT_LABELS)], seed=seed)
        studio = Studio(spec)
        plan = plan_exam(spec.label, spec.namespace, seed, spec.patient, spec.seconds)
        bare = [stretch for stretch in plan if stretch.mode == "bmode"][seed % 2 :: 4]
        for stretch in [stretch for stretch in plan if stretch.mode == "doppler"] + bare:
            flow = stretch.mode == "doppler"
            for part in np.linspace(0.1, 0.9, MOMENTS if flow else 1):
                t_s = stretch.start_s + float(part) * (stretch.end_s - stretch.start_s)
                frame = studio.shoot(0, t_s, stretch)
                x, y, w, h = frame.region
                yield np.ascontiguousarray(frame.pixels[y : y + h, x : x + w]), flow


def test_phantoms_with_coloured_notes_are_told_from_flow() -> None:
    wrong, seen = Counter[str](), Counter[str]()
    for k, (bare, flow) in enumerate(generated()):
        for notes in (0, 4, 10):
            picture = annotate(bare, notes, 100 * k + notes)
            if flow and share_of_flow(bare, picture) < SEEN_SHARE:
                continue
            picture = picture if k % 3 else compressed(picture, 50 + k % 45)
            name = "flow" if flow else "none"
            seen[name] += 1
            wrong[name] += has_doppler(picture, find_letters(picture)) != flow
    assert seen["flow"] >= 150
    assert seen["none"] >= 120
    assert wrong["flow"] <= MOST_MISSED * seen["flow"], f"flow that was missed: {wrong} of {seen}"
    assert wrong["none"] <= MOST_FALSE * seen["none"], f"notes taken for flow: {wrong} of {seen}"


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


@pytest.mark.parametrize("tint", [(0.6, 0.85, 1.0), (1.0, 0.9, 0.7), (1.0, 0.78, 0.8)])
def test_a_tint_is_no_colour(tint: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(2)
    grey = cv2.GaussianBlur(rng.gamma(2.0, 30.0, (300, 400)), (0, 0), 1.5)
    tinted = np.clip(grey[..., None] * tint, 0, 255).astype(np.uint8)
    seen = find_coloured(tinted)
    assert seen is None or not seen.mask.mean() > 0.001
    assert not has_doppler(tinted)


def test_nothing_is_too_small() -> None:
    for shape in ((1, 1, 3), (2, 2, 3), (3, 90, 3), (17, 16, 3)):
        has_doppler(np.full(shape, (255, 0, 0), dtype=np.uint8))
    assert not has_doppler(np.full((40, 50), 90, dtype=np.uint8))


@pytest.mark.realdata
def test_real_heads_with_coloured_notes_are_no_flow(real_data: Path) -> None:
    files = sorted((real_data / "hc18_original").rglob("*_HC.png"))
    assert len(files) > 60
    wrong = 0
    for seed, file in enumerate(files):
        picture = annotate(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), 1 + seed % 14, seed)
        picture = compressed(picture, 60 + seed % 40)
        wrong += has_doppler(picture, find_letters(picture))
    assert wrong <= 2


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
