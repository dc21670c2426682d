"""Colours that hold still over moving tissue were drawn; those that change are flow."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import preprocess
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.flow_watch import DRAWN_FRAMES, FlowWatch
from neurosono.stream.phantom.flow_map import MAPS, FlowMap
from neurosono.stream.screen.find import find_region, with_text
from neurosono.stream.sources import open_source
from tests.stream.screen.drawn_screens import speckle

Pixels = NDArray[np.uint8]
SHAPE = (300, 400)
FRAMES = 3 * DRAWN_FRAMES


def tissue(moment: int) -> Pixels:
    return cv2.cvtColor(speckle(SHAPE, moment), cv2.COLOR_GRAY2BGR)


def with_flow(pixels: Pixels, colours: FlowMap, beat: float) -> Pixels:
    """Lay a vessel over a picture whose speed falls off to its wall, as fast as the beat is."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    speed = np.clip(1 - ((x - 190) / 70) ** 2 - ((y - 150) / 40) ** 2, 0, 1) * beat
    speed = np.where(x < 190, speed, speed * (1 if colours.is_power else -1)).astype(np.float32)
    flown = pixels.copy()
    flown[abs(speed) > 0.15] = colours.paint(speed)[abs(speed) > 0.15]
    return flown


@pytest.mark.parametrize("colours", MAPS)
def test_flow_that_beats_is_seen_in_every_frame(colours: FlowMap) -> None:
    watch = FlowWatch()
    beats = [0.75 + 0.25 * np.sin(0.6 * k) for k in range(FRAMES)]
    seen = [
        watch.sees_flow(with_flow(tissue(k), colours, beats[k]), (), moved=True)
        for k in range(FRAMES)
    ]
    assert all(seen)


def test_what_looks_like_flow_but_holds_still_over_moving_tissue_was_drawn() -> None:
    watch = FlowWatch()
    seen = [
        watch.sees_flow(with_flow(tissue(k), MAPS[1], 1.0), (), moved=True) for k in range(FRAMES)
    ]
    assert all(seen[:DRAWN_FRAMES])
    assert not any(seen[DRAWN_FRAMES + 1 :])


def test_held_flow_stays_flow_while_the_picture_is_held_too() -> None:
    watch = FlowWatch()
    held = with_flow(tissue(0), MAPS[1], 1.0)
    assert all(watch.sees_flow(held, (), moved=False) for _ in range(FRAMES))


def test_another_clip_and_another_size_begin_anew() -> None:
    watch, logo = FlowWatch(), MAPS[1]
    for k in range(FRAMES):
        watch.sees_flow(with_flow(tissue(k), logo, 1.0), (), moved=True)
    assert not watch.sees_flow(with_flow(tissue(0), logo, 1.0), (), moved=True)
    larger = cv2.resize(with_flow(tissue(0), logo, 1.0), None, fx=1.2, fy=1.2)
    assert watch.sees_flow(np.asarray(larger, dtype=np.uint8), (), moved=True)
    watch.forget()
    assert watch.sees_flow(with_flow(tissue(0), logo, 1.0), (), moved=True)


def test_words_that_come_and_stay_do_not_lose_a_clip() -> None:
    gate, spec = EvidenceGate(), PreprocessingSpec()
    reasons = []
    for k in range(40):
        picture = tissue(k)
        if k >= 5:
            cv2.putText(picture, "FETUS A", (30, 90), 0, 2.0, (60, 60, 255), 5, cv2.LINE_AA)
            cv2.circle(picture, (330, 240), 22, (255, 120, 40), -1, cv2.LINE_AA)
        reasons.append(gate.judge(picture, preprocess(picture, spec), clip=0))
    assert reasons.count(SkipReason.DOPPLER) == 0


@pytest.mark.realdata
def test_a_real_heart_with_coloured_words_that_change_is_used(real_data: Path) -> None:
    file = real_data / "fetal_heart_result_videos" / "ppt_video" / "result_heart.mp4"
    pictures = [picture.whole() for picture in open_source([str(file)]).pictures()]
    region = find_region(pictures[:8])
    assert region is not None
    watch, seen = FlowWatch(), []
    for k, pixels in enumerate(pictures):
        bare = region.bare.crop(pixels)
        if k % 25 == 0:
            region = with_text(region, bare)
        seen.append(watch.sees_flow(bare, region.text, moved=True))
    assert len(seen) > 250
    assert float(np.mean(seen)) <= 0.01
