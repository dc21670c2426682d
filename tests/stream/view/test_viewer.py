"""What the screen may show: never a late answer, never another frame's heatmap."""

import numpy as np
import pytest
from msgspec.structs import replace

from neurosono.engine.contracts.frame import DisplayFrame, SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.view.state import AiState, OverlayState
from neurosono.stream.view.viewer import Viewer
from neurosono.stream.view.words import tell_unused

LABELS = ("a", "b")
MS = 1_000_000


def make_picture(index: int, seq: int | None) -> DisplayFrame:
    pixels = np.full((4, 4), index % 256, dtype=np.uint8)
    return DisplayFrame("s", index, index * 40 * MS, index / 25, pixels, seq)


def make_result(seq: int, cam: bool = True) -> Result:
    exam = ExamSnapshot(
        np.array([0.3, 0.7]), np.zeros(2), np.ones(2), ("b",), ExamState.STABLE, seq + 1, 2.0
    )
    maps = np.ones((2, 2, 2), dtype=np.float32) if cam else None
    frame = np.array([0.2, 0.8])
    return Result("s", seq, seq * 40 * MS, seq / 25, exam, None, frame, None, maps)


@pytest.fixture
def viewer() -> Viewer:
    return Viewer(LABELS, realtime=True, engine="openvino f32 x2")


def test_before_the_engine_is_ready_nothing_is_claimed() -> None:
    state = Viewer(LABELS, realtime=True).state(0.0, 0)
    assert state.ai is AiState.STARTING


def test_a_heatmap_belongs_to_its_own_frame(viewer: Viewer) -> None:
    for index in range(4):
        viewer.see(make_picture(index, index))
    viewer.hear(make_result(1))
    heatmap = viewer.state(3 / 25, 3 * 40 * MS).heatmap
    assert heatmap is not None
    assert (heatmap.seq, heatmap.label, int(heatmap.pixels[0, 0])) == (1, "b", 1)


def test_a_heatmap_whose_picture_was_not_kept_is_not_shown(viewer: Viewer) -> None:
    viewer.see(make_picture(5, 5))
    viewer.hear(make_result(3))
    assert viewer.heatmap is None


def test_an_answer_awaited_for_400_ms_turns_the_ai_off_and_back_on(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    assert viewer.state(0.4, 400 * MS).ai is AiState.ON
    late = viewer.state(0.401, 401 * MS)
    assert late.ai is AiState.OFF
    assert "late" in late.ai_reason
    assert late.shown_result is None
    viewer.hear(make_result(0))
    assert viewer.state(0.6, 600 * MS).ai is AiState.OFF, "it came, too late"
    viewer.hear(make_result(12))
    assert viewer.state(0.6, 600 * MS).ai is AiState.ON


def test_a_server_without_an_answer_is_ai_off_until_one_comes(viewer: Viewer) -> None:
    answer = replace(make_result(0), stage_ms={"network": 5.0})
    viewer.see(make_picture(0, 0))
    viewer.hear(answer)
    viewer.miss()
    off = viewer.state(0.1, 10 * MS)
    assert (off.ai, off.shown_result, off.heatmap) == (AiState.OFF, None, None)
    frozen = replace(make_result(1, cam=False), probabilities=None, skip_reason=SkipReason.FROZEN)
    viewer.hear(frozen)  # which nobody asked the server about
    assert viewer.state(0.1, 20 * MS).ai is AiState.OFF
    viewer.hear(replace(answer, seq=2))
    assert viewer.state(0.1, 30 * MS).ai is AiState.ON


def test_a_frame_that_no_engine_saw_does_not_make_the_next_engine_late(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    viewer.see(make_picture(1, 1))
    viewer.hear(make_result(1))
    assert viewer.state(0.54, 540 * MS).ai is AiState.ON


def test_an_opinion_older_than_500_ms_is_none_whoever_is_to_blame(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    viewer.hear(make_result(0))
    assert viewer.state(0.5, 500 * MS).shown_result is not None
    old = viewer.state(0.5, 501 * MS)
    assert (old.ai, old.ai_reason) == (AiState.OFF, "the engine's last answer is 0.5 s old")
    assert old.shown_result is None
    viewer.no_signal = "no picture comes"
    viewer.see(make_picture(425, 1))
    viewer.no_signal = None
    again = viewer.state(17.0, 17_000 * MS)
    assert (again.ai, again.shown_result) == (AiState.OFF, None), "a result that is 17 s old"
    viewer.hear(make_result(425))
    assert viewer.state(17.0, 17_001 * MS).ai is AiState.ON


def test_what_was_passed_over_makes_no_opinion_younger(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    viewer.hear(make_result(0))
    late = make_result(10, cam=False)
    viewer.hear(replace(late, skip_reason=SkipReason.SUPERSEDED, probabilities=None))
    assert viewer.state(0.6, 600 * MS).ai is AiState.OFF
    viewer.hear(replace(make_result(11, cam=False), skip_reason=SkipReason.FROZEN))
    assert viewer.state(0.6, 600 * MS).ai is AiState.ON


def test_a_pause_ends_the_life_of_a_sparse_sampling_too(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    viewer.hear(make_result(0))
    for index in range(1, 30):
        viewer.see(make_picture(index, None))
    assert viewer.state(1.16, 1600 * MS).ai is AiState.ON
    assert viewer.state(1.16, 1661 * MS).ai is AiState.OFF
    viewer.see(make_picture(50, None))
    assert viewer.state(2.0, 2000 * MS).ai is AiState.OFF, "the pictures went on without a word"


def test_a_state_shows_no_result_that_is_too_old() -> None:
    result = make_result(0)
    assert OverlayState(AiState.ON, result=result, opinion_age_ms=500.0).shown_result is result
    assert OverlayState(AiState.ON, result=result, opinion_age_ms=501.0).shown_result is None


def test_a_sparse_sampling_is_not_late(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    viewer.hear(make_result(0))
    for index in range(1, 80):
        viewer.see(make_picture(index, None))
    assert viewer.state(3.2, 3200 * MS).ai is AiState.ON


def test_off_for_good_blanks_everything(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    viewer.hear(make_result(0))
    viewer.turn_off("the engine died")
    state = viewer.state(0.0, 0)
    assert (state.ai, state.ai_reason) == (AiState.OFF, "the engine died")
    assert state.shown_result is None
    assert state.heatmap is None


def test_every_picture_is_counted(viewer: Viewer) -> None:
    for index in (0, 1, 4, 5):
        viewer.see(make_picture(index, None))
    state = viewer.state(0.2, 0)
    assert (state.decoded, state.dropped) == (6, 2)


def test_frames_without_an_engine_say_so(viewer: Viewer) -> None:
    viewer.turn_off("gone")
    viewer.see(make_picture(0, 0))
    assert viewer.state(0.0, 0).skip_reason is SkipReason.ENGINE_OFF


def test_what_the_gate_refused_is_said_until_another_frame_is_judged(viewer: Viewer) -> None:
    viewer.see(make_picture(0, 0))
    reason = SkipReason.NOT_HEAD_OR_SPINE
    refused = replace(make_result(0, cam=False), skip_reason=reason, probabilities=None, gate=0.01)
    viewer.hear(refused)
    assert viewer.state(0.0, 0).skip_reason is reason
    viewer.see(make_picture(1, 1))
    assert viewer.state(0.04, 40 * MS).skip_reason is reason
    viewer.hear(replace(make_result(1), gate=0.99))
    assert viewer.state(0.04, 40 * MS).skip_reason is None


def test_why_nothing_was_judged_is_one_sentence() -> None:
    said = tell_unused(0, {"frozen": 2, "doppler": 268})
    assert said == (
        "Nothing was judged: of 270 sampled frames none could be used (268 Doppler, 2 frozen)."
    )
    assert tell_unused(1, {"doppler": 9}) is None
    assert tell_unused(0, {}) is None


def test_another_sender_is_said_until_the_source_connects_anew(viewer: Viewer) -> None:
    viewer.note_source("second-sender", {"ignored": 3})
    assert "not followed" in viewer.source_note
    viewer.note_source("connected", {})
    assert viewer.source_note == ""
