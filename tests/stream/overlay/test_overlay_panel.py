"""Numbers as the panel words them, and what it shows of an opinion that is too old."""

from dataclasses import replace

import numpy as np

from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.overlay.canvas import Overlay
from neurosono.stream.overlay.panel import clock
from neurosono.stream.view.state import AiState, OverlayState
from neurosono.stream.view.words import percentage
from tests.support.records import make_exam, make_results


def test_percentages_never_claim_certainty() -> None:
    found = [percentage(p) for p in (0.0, 0.001, 0.0051, 0.426, 0.994, 0.9999, 1.0)]
    assert found == ["<1%", "<1%", "1%", "43%", "99%", ">99%", ">99%"]
    assert percentage(float("nan")) not in {"0%", "nan%"}


def test_the_clock_never_reads_sixty_seconds() -> None:
    found = [clock(s) for s in (0.0, 0.3, 59.99, 60.0, 3599.95, 6000.0)]
    assert found == ["00:00.0", "00:00.3", "00:59.9", "01:00.0", "59:59.9", "100:00.0"]


def draw(state: OverlayState) -> np.ndarray:
    overlay = Overlay((240, 320), DEFAULT_LABELS, PreprocessingSpec())
    return overlay.draw(np.full((240, 320), 90, np.uint8), state).copy()


def test_an_opinion_that_is_too_old_is_not_drawn() -> None:
    *_, result = (each for each in make_results(make_exam(), 40) if each.used)
    fresh = OverlayState(AiState.ON, result=result, engine="openvino")
    nothing = draw(replace(fresh, result=None))
    assert (draw(replace(fresh, opinion_age_ms=500.0)) != nothing).any()
    assert (draw(replace(fresh, opinion_age_ms=501.0)) == nothing).all()


def test_what_is_not_recorded_says_so() -> None:
    recorded = draw(OverlayState(AiState.STARTING))
    unrecorded = draw(OverlayState(AiState.STARTING, unrecorded="the disk is full"))
    assert (recorded != unrecorded).any()
