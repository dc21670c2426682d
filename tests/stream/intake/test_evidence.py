"""What may add evidence: no picture twice, no Doppler, no trace, no menu, no air."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import preprocess
from neurosono.stream.intake.evidence import SAME_CONTENT_FRAMES, EvidenceGate
from neurosono.stream.intake.flow_watch import FlowWatch
from neurosono.stream.intake.trace import has_trace
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.phantom.flow_map import MAPS, FlowMap
from neurosono.stream.pictures.colour import find_coloured
from neurosono.stream.screen.aside import LATER
from neurosono.stream.screen.find import find_region
from tests.stream.screen.drawn_screens import as_pictures, draw_screen, sector_mask, speckle
from tests.stream.screen.test_screen import decode

Pixels = NDArray[np.uint8]
SHAPE = (400, 500)
SPEC = PreprocessingSpec()


def judge(gate: EvidenceGate, pixels: Pixels, clip: int = 0) -> SkipReason | None:
    return gate.judge(pixels, preprocess(pixels, SPEC), clip)


def content(pixels: Pixels) -> SkipReason | None:
    return judge(EvidenceGate(), pixels)


def tissue(seed: int = 0) -> Pixels:
    return cv2.cvtColor(speckle(SHAPE, seed), cv2.COLOR_GRAY2BGR)


def compressed(pixels: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), dtype=np.uint8)


def test_moving_tissue_is_used() -> None:
    gate = EvidenceGate()
    assert [judge(gate, tissue(seed)) for seed in range(6)] == [None] * 6


@pytest.mark.parametrize("quality", [0, 99])
def test_held_picture_is_frozen(quality: int) -> None:
    gate = EvidenceGate()
    again = compressed(tissue(), quality) if quality else tissue()
    assert judge(gate, tissue()) is None
    assert [judge(gate, again) for _ in range(3)] == [SkipReason.FROZEN] * 3


def test_frozen_picture_with_a_caliper_is_frozen() -> None:
    gate = EvidenceGate()
    first = tissue()
    judge(gate, first)
    cv2.drawMarker(first, (200, 200), (255, 255, 255), cv2.MARKER_CROSS, 12, 1)
    assert judge(gate, first) is SkipReason.FROZEN


def test_slow_motion_is_not_frozen() -> None:
    gate = EvidenceGate()
    large = cv2.resize(tissue(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    moved = [np.ascontiguousarray(large[k : 780 + k, k : 980 + k]) for k in range(0, 12, 2)]
    assert [judge(gate, each) for each in moved] == [None] * 6


def test_same_still_again_is_a_near_duplicate() -> None:
    gate = EvidenceGate()
    assert judge(gate, tissue(1), clip=0) is None
    assert judge(gate, compressed(tissue(1), 99), clip=1) is SkipReason.NEAR_DUPLICATE
    assert judge(gate, tissue(2), clip=2) is None


def test_copy_of_the_last_used_is_found_behind_another_kind_of_picture() -> None:
    gate = EvidenceGate()
    judge(gate, tissue(1))
    assert judge(gate, np.zeros((*SHAPE, 3), dtype=np.uint8)) is SkipReason.NOT_ULTRASOUND
    assert judge(gate, tissue(1)) is SkipReason.NEAR_DUPLICATE


def with_flow(pixels: Pixels, colours: FlowMap, *ways: int) -> Pixels:
    """Lay vessels over a picture, each with its flow towards the probe (1) or away (-1)."""
    flown = pixels.copy()
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    for k, way in enumerate(ways):
        speed = 1.1 - ((x - 200 - 60 * k) / 28) ** 2 - ((y - 200) / 16) ** 2
        moving = speed > 0.15
        flown[moving] = colours.paint((way * np.clip(speed, 0, 1)).astype(np.float32))[moving]
    return flown


@pytest.mark.parametrize("ways", [(1, -1), (1, 1, -1), (1,) * 4, (-1,) * 4])
@pytest.mark.parametrize("colours", MAPS[1:])
@pytest.mark.parametrize("quality", [0, 60])
def test_flow_is_doppler(ways: tuple[int, ...], colours: FlowMap, quality: int) -> None:
    flown = with_flow(tissue(), colours, *ways)
    assert content(compressed(flown, quality) if quality else flown) is SkipReason.DOPPLER


def test_held_doppler_is_still_called_doppler() -> None:
    gate = EvidenceGate()
    flown = with_flow(tissue(), MAPS[1], 1, -1)
    assert [judge(gate, flown) for _ in range(2)] == [SkipReason.DOPPLER] * 2


@pytest.mark.parametrize("tint", [(0.6, 0.85, 1.0), (1.0, 0.9, 0.7), (1.0, 0.78, 0.8)])
@pytest.mark.parametrize("quality", [0, 40])
def test_tinted_tissue_is_not_doppler(tint: tuple[float, float, float], quality: int) -> None:
    ramp = 255 * np.linspace(0, 1, 256)[:, None] ** (1 / np.array(tint)) * np.array(tint)
    tinted = cv2.LUT(tissue(), np.clip(ramp, 0, 255).astype(np.uint8)[None])
    assert content(compressed(tinted, quality) if quality else tinted) is None


def test_coloured_letters_and_crosses_are_not_doppler() -> None:
    marked = tissue()
    cv2.putText(marked, "1 D 52.1 mm", (20, 380), 0, 0.5, (0, 255, 255), 1, cv2.LINE_AA)
    for x in (120, 330):
        cv2.drawMarker(marked, (x, 180), (80, 255, 80), cv2.MARKER_CROSS, 14, 1)
    assert content(marked) is None


def test_grey_pictures_have_no_flow() -> None:
    assert not FlowWatch().sees_flow(speckle(SHAPE, 0), (), moved=False)
    assert find_coloured(tissue()) is None


def test_trace_is_a_spectrum() -> None:
    picture = tissue()
    picture[180:] = 0
    rng = np.random.default_rng(0)
    for x in range(SHAPE[1]):
        top = 330 - int(110 * abs(np.sin(x / 40)))
        picture[top:330, x] = rng.integers(20, 140, (330 - top, 1))
    picture[330] = 160
    assert content(picture) is SkipReason.SPECTRUM


def test_level_fascia_is_no_trace() -> None:
    picture = speckle(SHAPE, 0)
    for y in (120, 200, 260):
        wave = (y + 2 * np.sin(np.arange(SHAPE[1]) / 50)).astype(int)
        picture[wave, np.arange(SHAPE[1])] = 220
    assert not has_trace(picture)


@pytest.mark.parametrize("level", [0, 40, 255])
def test_even_pictures_are_no_ultrasound(level: int) -> None:
    assert content(np.full((*SHAPE, 3), level, dtype=np.uint8)) is SkipReason.NOT_ULTRASOUND


def test_menu_is_no_ultrasound() -> None:
    menu = np.full((*SHAPE, 3), 44, dtype=np.uint8)
    for y in range(30, 390, 28):
        cv2.putText(menu, "Name  Jane Doe   Date 1.1.2099", (20, y), 0, 0.6, (230, 230, 230), 1)
    assert content(menu) is SkipReason.NOT_ULTRASOUND


def test_electronic_noise_is_no_ultrasound() -> None:
    rng = np.random.default_rng(2)
    noise = cv2.GaussianBlur(rng.gamma(2.0, 0.5, SHAPE), (0, 0), 0.8)
    depth = np.linspace(25, 60, SHAPE[0])[:, None]
    noise = np.clip(depth * noise, 0, 255)
    noise[:12] = 180
    assert content(noise.astype(np.uint8)) is SkipReason.NOT_ULTRASOUND


def test_a_slow_fade_to_noise_is_noticed_within_a_few_frames() -> None:
    rng = np.random.default_rng(2)
    gate, reasons = EvidenceGate(), []
    for k in range(80):  # each step is far less than what calls for a look at once
        share = min(1.0, k / 40)
        noise = cv2.GaussianBlur(rng.gamma(2.0, 0.5, SHAPE), (0, 0), 0.8)
        air = np.linspace(25, 60, SHAPE[0])[:, None] * noise
        mixed = (1 - share) * speckle(SHAPE, 0) + share * air
        reasons.append(judge(gate, np.clip(mixed, 0, 255).astype(np.uint8)))
    assert reasons[0] is None
    bare = [content(np.clip(np.linspace(25, 60, SHAPE[0])[:, None] * noise, 0, 255).astype("u1"))]
    assert bare == [SkipReason.NOT_ULTRASOUND]
    assert set(reasons[40 + SAME_CONTENT_FRAMES + LATER :]) == {SkipReason.NOT_ULTRASOUND}


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (3, 200), (40, 7, 3)])
def test_no_picture_is_too_odd(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for pixels in (rng.integers(0, 256, shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)):
        reason = judge(EvidenceGate(), pixels)
        assert reason is None or isinstance(reason, SkipReason)


def test_phantom_is_judged_by_its_truth() -> None:
    found: dict[str, Counter[str]] = {}
    for label, seed in (("normal", 21), ("holoprosencephaly", 22)):
        frames = list(exam_frames(PhantomSpec(label, seed=seed, seconds=20, fps=4)))
        region = find_region([frame.pixels for frame in frames[:8]])
        assert region is not None
        gate = EvidenceGate()
        for frame in frames:
            reason = judge(gate, region.crop(frame.pixels))
            found.setdefault(frame.kind, Counter())[reason or "used"] += 1
    assert found["bmode"]["used"] >= 0.98 * found["bmode"].total()
    assert found["doppler"][SkipReason.DOPPLER] >= 0.9 * found["doppler"].total()
    assert found["spectrum"][SkipReason.SPECTRUM] >= 0.9 * found["spectrum"].total()
    # The first picture of a frozen stretch may be new; those after it never are.
    assert found["frozen"][SkipReason.FROZEN] >= 0.5 * found["frozen"].total()


def test_drawn_screens_are_used_after_cropping() -> None:
    truth = sector_mask((600, 800), apex=(400, -20), radii=(90, 560))
    pictures = as_pictures([draw_screen(truth, seed) for seed in range(3)])
    region = find_region([p.pixels for p in pictures])
    assert region is not None
    gate = EvidenceGate()
    assert [judge(gate, region.crop(p.pixels)) for p in pictures] == [None] * 3


@pytest.mark.realdata
def test_real_heads_are_used(real_data: Path) -> None:
    files = sorted((real_data / "fpdb_brain_fullres").rglob("*.png"))[::9]
    reasons = []
    for file in files:
        pixels = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        region = find_region([pixels])
        assert region is not None
        reasons.append(content(region.crop(pixels)))
    assert reasons == [None] * len(files)


@pytest.mark.realdata
def test_real_colour_doppler_is_skipped(real_data: Path) -> None:
    folder = real_data / "ucl_second_trimester_frames" / "tiff_frames"
    for name, expected in (("feet", SkipReason.DOPPLER), ("left outflow tract", None)):
        pixels = cv2.imread(str(folder / f"{name}.png"))
        region = find_region([pixels])
        assert region is not None
        assert content(region.crop(pixels)) is expected, name


@pytest.mark.realdata
def test_live_lung_at_full_rate_is_not_frozen(real_data: Path) -> None:
    for name in ("Reg_pat2Image_134240", "Reg_pat3Image_135215", "Reg_pat4Image_140606"):
        frames = decode(real_data / "pocus_lung_videos" / f"{name}.mpeg", 80)
        gate = EvidenceGate()
        reasons = Counter(judge(gate, frame) for frame in frames)
        assert reasons[None] >= 0.95 * len(frames), f"{name}: {reasons}"


@pytest.mark.realdata
def test_real_still_clip_counts_once(real_data: Path) -> None:
    file = real_data / "itkpocus_phantom" / "data" / "sonosite-anon-eye1-video.mp4"
    frames = decode(file, 40)
    region = find_region(frames[:8])
    assert region is not None
    gate = EvidenceGate()
    reasons = [judge(gate, region.crop(frame)) for frame in frames]
    assert reasons == [None, *[SkipReason.FROZEN] * (len(frames) - 1)]
