"""What other bundles read, in a real browser: rows of their own, and boxes over their own frame."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.contracts.frame import ScaleSource
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.regions.exam import RegionsExam
from neurosono.engine.regions.names import PLANES, regions_of
from neurosono.engine.regions.words import tell_regions
from neurosono.engine.structures.exam import StructuresExam
from neurosono.engine.structures.words import tell_structures
from tests.browser.screen import SIZES, Screen
from tests.engine.structures.test_exam import make_said

REGION = (120, 60, 700, 560)


def make_exam() -> dict[str, Any]:
    exam = StructuresExam()
    for seq in range(41):
        said = make_said(hc_mm=172.0 + seq % 13)
        stamps = ("a" * 32, seq, seq, seq / 25)
        scale = {"mm_per_px": 0.2, "mm_per_px_from": ScaleSource.RULER}
        exam.update(ReaderResult(*stamps, "structures", said, None, **scale))
    return exam.snapshot()


def make_reading(ai: str = "AI ON", reason: str = "") -> dict[str, Any]:
    exam = make_exam()
    told = tell_structures(exam).to_dict() if ai == "AI ON" else None
    return {"kind": "structures", "ai": ai, "reason": reason, "exam": exam, "told": told}


def make_found(region: np.ndarray, seq: int) -> dict[str, Any]:
    h, w = region.shape[:2]
    x, y = REGION[:2]

    def box(label: str, cx: float, cy: float, unproven: bool = False) -> dict[str, Any]:
        place = {"cx": x + cx * w, "cy": y + cy * h, "w": 0.2 * w, "h": 0.08 * h, "angle_deg": 12.0}
        return {"label": label, "score": 0.8, "unproven": unproven, **place}

    head = {"cx": x + w / 2, "cy": y + h / 2, "a": 0.36 * w, "b": 0.27 * w, "angle_deg": 5.0}
    boxes = [box("lv", 0.6, 0.6), box("csp", 0.35, 0.48), box("thalami", 0.5, 0.5, unproven=True)]
    frame = {"plane": "trans-ventricular", "head": head, "boxes": boxes}
    return {"seq": seq, "age_ms": 60.0, "frame": frame, "region_px": [x, y, w, h]}


def publish_until(screen: Screen, expression: str, *readers: str) -> None:
    """Publish what readers found, as it comes, until the page shows what it should."""
    region = screen.publisher.regions[0]
    for seq in range(1, 400):
        for reader in readers or ("structures",):
            screen.hub.publish_reading(reader, region, make_found(region, seq))
        if screen.page.evaluate(f"() => {expression}"):
            return
        screen.page.wait_for_timeout(100)
    raise AssertionError(f"never: {expression}")


SHOWN = "document.querySelector('#found-age').textContent !== ''"


def test_a_readers_rows_stand_beside_the_exams_and_say_where_they_are_unproven(
    screen: Screen, tmp_path: Path
) -> None:
    screen.publisher.changes = {"readings": {"structures": make_reading()}}
    screen.open()
    screen.await_words("#readings", "HC 178 mm (173 to 183, 41 frames, scale: ruler)")
    assert "✓ trans ventricular" in screen.words("#readings")
    assert "○ thalami *" in screen.words("#readings")
    label = "document.querySelector('#found-label').textContent"
    publish_until(screen, f"{label} === 'trans ventricular · * unproven'")
    for width, height in SIZES:
        screen.page.set_viewport_size({"width": width, "height": height})
        publish_until(screen, SHOWN)
        screen.shoot(tmp_path, "readings")


def test_what_was_found_is_gone_after_half_a_second(screen: Screen) -> None:
    screen.publisher.changes = {"readings": {"structures": make_reading()}}
    screen.open()
    publish_until(screen, SHOWN)
    begun_s = time.monotonic()
    screen.await_true("document.querySelector('#found-age').textContent === ''")
    assert time.monotonic() - begun_s < 30
    assert not screen.visible("#found-canvas")
    screen.await_words("#readings", "HC 178 mm")


def test_a_reader_that_is_off_blanks_its_own_rows_alone(screen: Screen) -> None:
    screen.publisher.changes = {"readings": {"structures": make_reading()}}
    screen.open()
    screen.await_words("#readings", "HC 178 mm")
    screen.publisher.changes = {"readings": {"structures": make_reading("AI OFF", "it died")}}
    screen.await_words("#readings", "AI OFF: it died")
    assert "HC" not in screen.words("#readings")
    assert screen.words("#ai") == "AI ON"
    assert screen.visible("#bars .value")
    screen.await_true("document.querySelector('#found-age').textContent === ''")


def test_a_main_ai_that_is_off_leaves_a_readers_rows(screen: Screen) -> None:
    reading = {"readings": {"structures": make_reading()}}
    screen.publisher.changes = reading | {"ai": "AI OFF", "ai_reason": "it died"}
    screen.page.goto(screen.url)
    screen.await_words("#readings", "HC 178 mm")
    assert screen.words("#ai") == "AI OFF"


def test_a_key_shows_it_larger_and_hiding_the_ai_hides_it(screen: Screen, tmp_path: Path) -> None:
    screen.publisher.changes = {"readings": {"structures": make_reading()}}
    screen.open()
    publish_until(screen, SHOWN)
    small = screen.page.evaluate("() => document.querySelector('#found-well').clientWidth")
    screen.page.keyboard.press("b")
    large = screen.page.evaluate("() => document.querySelector('#found-well').clientWidth")
    assert large > 1.8 * small
    publish_until(screen, SHOWN)
    screen.shoot(tmp_path, "enlarged")
    screen.page.keyboard.press("a")
    screen.await_words("#readings", "hidden")
    assert "HC" not in screen.words("#readings")
    assert not screen.visible("#found-canvas")


def test_a_second_read_tells_a_browser_nothing_of_it(screen: Screen) -> None:
    screen.publisher.changes = {
        "readings": {"structures": make_reading()},
        "mode": "second-read",
        "ended": False,
    }
    screen.page.goto(screen.url)
    screen.await_words("#reason", "openvino")
    region = screen.publisher.regions[0]
    screen.hub.publish_reading("structures", region, make_found(region, 1))
    screen.page.wait_for_timeout(300)
    assert screen.page.evaluate("() => Object.keys(page.status.readings).length") == 0
    assert not screen.visible("#found-canvas")


def test_of_several_readers_the_first_open_row_shows_its_frames(screen: Screen) -> None:
    both = {"structures": make_reading(), "regions": make_regions_reading()}
    screen.publisher.changes = {"readings": both}
    screen.open()
    screen.await_words("#readings", "waiting for the transcerebellar plane")
    label = "document.querySelector('#found-label').textContent"
    publish_until(screen, f"{label}.startsWith('structures: ')", *both)
    screen.page.locator("#readings summary").first.click()
    publish_until(screen, f"{label}.startsWith('regions: ')", *both)


def test_a_folded_row_says_its_first_line_and_is_blank_when_it_is_off(screen: Screen) -> None:
    both = {"structures": make_reading(), "regions": make_regions_reading()}
    screen.page.set_viewport_size({"width": 1024, "height": 768})
    screen.publisher.changes = {"readings": both}
    screen.open()
    screen.await_words("#readings", "waiting for the transcerebellar plane")
    folded = "() => [...document.querySelectorAll('#readings details')].map((one) => one.open)"
    assert screen.page.evaluate(folded) == [True, False]
    assert screen.visible("#readings details:not([open]) em")
    off = make_regions_reading() | {"ai": "AI OFF", "reason": "it died", "told": None}
    screen.publisher.changes = {"readings": both | {"regions": off}}
    screen.await_words("#readings", "AI OFF: it died")
    assert "waiting" not in screen.words("#readings")
    assert "HC 178 mm" in screen.words("#readings")


def make_regions_reading() -> dict[str, Any]:
    exam = RegionsExam()
    regions = {each.name: {"contribution": -1.0, "found": True} for each in regions_of(PLANES[0])}
    said = {"plane": PLANES[0], "regions": regions, "goodness": 0.8, "unfamiliar": False}
    exam.update(ReaderResult("a" * 32, 1, 1, 0.04, "regions", said))
    told = tell_regions(exam.snapshot()).to_dict()
    return {"kind": "regions", "ai": "AI ON", "reason": "", "exam": exam.snapshot(), "told": told}
