"""The panel of readings: what was found lies over its own frame, and goes when it must."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.structures.exam import StructuresExam
from neurosono.engine.structures.words import tell_structures
from neurosono.stream.overlay.canvas import Overlay
from neurosono.stream.overlay.findings import paint_findings
from neurosono.stream.overlay.layout import arrange
from neurosono.stream.overlay.typeface import Typeface
from neurosono.stream.view import palette
from neurosono.stream.view.reading import ShownReading
from neurosono.stream.view.state import AiState, OverlayState
from tests.engine.structures.test_exam import make_said

SIZE = (240, 320)
REGION = (100, 50, 320, 240)
DARK = np.zeros(SIZE, np.uint8)


def make_found(pts_s: float = 1.0) -> ReaderResult:
    box = {"label": "lv", "score": 0.9, "unproven": False, "cx": 260.0, "cy": 170.0}
    box |= {"w": 120.0, "h": 60.0, "angle_deg": 0.0}
    head = {"cx": 260.0, "cy": 170.0, "a": 110.0, "b": 90.0, "angle_deg": 0.0}
    said = make_said(boxes=[box], head=head)
    return ReaderResult("a" * 32, 1, 0, pts_s, "structures", said, region_px=REGION)


def make_state(ai: AiState = AiState.ON, pts_s: float = 1.0, frames: int = 6) -> OverlayState:
    exam, found = StructuresExam(), make_found()
    for _ in range(frames):
        exam.update(found)
    shown = ShownReading("structures", ai, "it died")
    if ai is AiState.ON:
        frame = np.full(SIZE, 90, np.uint8)
        stands = exam.snapshot()
        told = tell_structures(stands)
        shown = replace(shown, latest=found, exam=stands, pixels=frame, told=told)
    return OverlayState(ai=AiState.ON, pts_s=pts_s, readings={"structures": shown})


def draw(state: OverlayState) -> NDArray[np.uint8]:
    overlay = Overlay(SIZE, DEFAULT_LABELS, PreprocessingSpec(), readers=1)
    box = arrange(SIZE, len(DEFAULT_LABELS), 1).readings
    assert box is not None
    canvas = overlay.draw(DARK, state)
    return canvas[box.y : box.bottom, box.x : box.right].copy()


def has(picture: NDArray[np.uint8], colour: Any) -> bool:
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) < 12).any())


def test_boxes_lie_where_they_were_found_in_the_region() -> None:
    painted = paint_findings(DARK, make_found().said or {}, REGION, SIZE, Typeface())
    # the box is 120 by 60 about (260, 170) of the source, so about (160, 120) of the region
    left, right = painted[120, 100], painted[120, 219]
    assert left.any()
    assert right.any()
    assert not painted[120, 160].any()
    assert painted[120, 50].any(), "the head's outline"


def test_what_was_found_fades_and_is_gone_at_500_ms() -> None:
    strengths = [int(draw(make_state(pts_s=1.0 + age)).astype(int).sum()) for age in (0, 0.25)]
    assert strengths[0] > strengths[1]
    lit = draw(make_state(pts_s=1.49))
    gone = draw(make_state(pts_s=1.5))
    assert np.abs(lit.astype(int) - gone).sum() > 0
    assert not has(gone, palette.class_colour(0)), "no box is left"
    state = make_state(pts_s=1.5)
    never = replace(state.readings["structures"], latest=None, pixels=None)
    bare = draw(replace(state, readings={"structures": never}))
    assert np.array_equal(gone, bare), "nor its frame"


@pytest.mark.parametrize("ai", [AiState.OFF, AiState.STARTING, AiState.NO_SIGNAL])
def test_a_reader_that_is_not_on_shows_nothing_but_that(ai: AiState) -> None:
    shown = draw(make_state(ai))
    assert has(shown, palette.VERMILLION)
    assert not has(shown, palette.class_colour(0))


def test_going_off_blanks_what_stood_there() -> None:
    overlay = Overlay(SIZE, DEFAULT_LABELS, PreprocessingSpec(), readers=1)
    fresh = Overlay(SIZE, DEFAULT_LABELS, PreprocessingSpec(), readers=1)
    overlay.draw(DARK, make_state())
    off = make_state(AiState.OFF)
    assert np.array_equal(overlay.draw(DARK, off), fresh.draw(DARK, off))


def test_what_is_drawn_line_by_line_looks_as_drawn_anew() -> None:
    overlay = Overlay(SIZE, DEFAULT_LABELS, PreprocessingSpec(), readers=1)
    shown = set()
    for frames, ai in enumerate([AiState.ON] * 9 + [AiState.OFF, AiState.ON, AiState.ON]):
        state = make_state(ai, 1.0 + 0.01 * frames, frames)
        fresh = Overlay(SIZE, DEFAULT_LABELS, PreprocessingSpec(), readers=1)
        canvas = overlay.draw(DARK, state)
        assert np.array_equal(canvas, fresh.draw(DARK, state)), frames
        shown.add(canvas.tobytes())
    assert len(shown) == 12


def test_without_readers_the_canvas_is_as_it_was() -> None:
    plain = arrange(SIZE, 5)
    assert plain.readings is None
    read = arrange(SIZE, 5, 1)
    assert read.canvas_h == plain.canvas_h
    assert (read.region, read.panel) == (plain.region, plain.panel)
