"""What a child says is believed only where it can be so."""

import time
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from neurosono.engine.contracts.errors import WireError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, ScaleSource, SkipReason
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.processes.child import in_one_line
from neurosono.stream.processes.ledger import Ledger
from neurosono.stream.processes.wire import Event
from neurosono.stream.session.accounts import Accounts
from neurosono.stream.session.trust import FAR, MOST_REPEATED, Trust
from tests.support.records import STREAM, make_exam, make_results

BEFORE = "f" * 32


@pytest.fixture
def trust() -> Trust:
    trust = Trust(DEFAULT_LABELS, ("capture", "engine", "reader:structures"))
    trust.begin_capture(STREAM, 0, 0)
    return trust


def make_result(**said: Any) -> Result:
    used = next(each for each in make_results(make_exam(), 40) if each.used)
    return replace(used, **said)


def make_picture(index: int, **said: Any) -> DisplayFrame:
    at_ns = time.monotonic_ns()
    picture = DisplayFrame(STREAM, index, at_ns, index / 25, np.zeros((4, 4), np.uint8), index)
    return replace(picture, **said)


def test_what_is_right_passes(trust: Trust) -> None:
    for index in range(3):
        trust.check_capture(make_picture(index))
    trust.check_capture(Event("alive", {"sampled": 40, "decoded": 40}))
    for result in list(make_results(make_exam(), 40))[3:]:
        trust.check_engine(result)
    assert trust.next_seq == 40


@pytest.mark.parametrize(
    "said",
    [
        {"seq": 2**62},
        {"seq": FAR},
        {"seq": -1},
        {"stream_id": BEFORE},
        {"captured_ns": 2**62},
        {"captured_ns": -1},
        {"pts_s": float("inf")},
        {"pts_s": float("nan")},
        {"probabilities": None},
        {"probabilities": np.full(5, 0.5)},
        {"probabilities": np.full(5, np.nan)},
        {"probabilities": np.array([1.0])},
        {"member_probabilities": np.full((2, 4), 0.25, np.float32)},
        {"cam": np.zeros((4, 7, 7), np.float32)},
        {"cam": np.zeros((5, 0, 7), np.float32)},
        {"plane": "a name of somebody"},
        {"stage_ms": {"Mueller": 1.0}},
        {"stage_ms": {"network": float("nan")}},
        {"disagreement": float("nan")},
        {"skip_reason": SkipReason.FROZEN},
        {"mm_per_px": 0.1},
        {"mm_per_px": float("nan"), "mm_per_px_from": ScaleSource.RULER},
        {"mm_per_px": -0.1, "mm_per_px_from": ScaleSource.RULER},
        {"told_mm_per_px": {"ruler": float("inf")}},
        {"told_mm_per_px": {"a name of somebody": 0.1}},
    ],
)
def test_a_result_that_cannot_be_is_not_believed(trust: Trust, said: dict[str, Any]) -> None:
    trust.check_engine(make_result())
    with pytest.raises(WireError):
        trust.check_engine(make_result(**said))


def test_a_replayed_result_with_a_new_number_is_not_believed(trust: Trust) -> None:
    first = make_result()
    trust.check_engine(first)
    trust.check_engine(replace(first, seq=first.seq + 5, captured_ns=first.captured_ns + 100))
    with pytest.raises(WireError, match="not that of its frame"):
        trust.check_engine(replace(first, seq=first.seq + 6))


def test_a_result_is_of_the_frame_that_was_sent(trust: Trust) -> None:
    trust.check_capture(make_picture(0))
    with pytest.raises(WireError, match="another frame"):
        trust.check_engine(make_result(seq=0))


def test_answers_to_answered_frames_are_borne_for_a_while(trust: Trust) -> None:
    assert not any(trust.repeats_too_often() for _ in range(MOST_REPEATED))
    assert trust.repeats_too_often()
    trust.begin_engine()
    assert not trust.repeats_too_often()


@pytest.mark.parametrize(
    "said",
    [
        {"index": 2**62},
        {"seq": 2**62},
        {"stream_id": BEFORE},
        {"captured_ns": 2**62},
        {"pts_s": float("inf")},
        {"region_px": (0, 0, 5, 4)},
        {"region_px": (-1, 0, 2, 2)},
    ],
)
def test_a_picture_that_cannot_be_is_not_believed(trust: Trust, said: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        trust.check_capture(make_picture(**{"index": 0, **said}))


def test_each_picture_comes_once_and_in_order(trust: Trust) -> None:
    trust.check_capture(make_picture(4))
    for index in (4, 3):
        with pytest.raises(WireError, match="out of order"):
            trust.check_capture(make_picture(index))


@pytest.mark.parametrize(
    "event",
    [
        Event("alive", {"sampled": "many"}),
        Event("alive", {"sampled": -1}),
        Event("alive", {"decoded": 2**62}),
        Event("end", {"dropped": 1.5}),
        Event("lost", {"reason": "x" * 5000}),
        Event("lost", {"reason": "\x1b[2J"}),
        Event("lost", {"reason": [[["deep"]]]}),
        Event("lost", {str(n): n for n in range(1000)}),
    ],
)
def test_an_event_that_cannot_be_is_not_believed(trust: Trust, event: Event) -> None:
    with pytest.raises(WireError):
        trust.check_capture(event)


def test_an_exam_begins_as_often_as_it_was_asked_for(trust: Trust) -> None:
    trust.ask_exam()
    for speaker in ({}, {"reader": "structures"}):
        begun = Event("exam-begun", {"first_seq": 3, **speaker})
        trust.check_engine(begun)
        with pytest.raises(WireError, match="nobody asked"):
            trust.check_engine(begun)
    with pytest.raises(WireError, match="no reader"):
        trust.check_engine(Event("exam-begun", {"first_seq": 3, "reader": "a stranger"}))


@pytest.mark.parametrize("first_seq", [None, "many", 1.5, -1, 10**9])
def test_an_exam_begins_with_a_frame_that_there_may_be(trust: Trust, first_seq: object) -> None:
    trust.ask_exam()
    with pytest.raises(WireError, match=r"exam began|never given"):
        trust.check_engine(Event("exam-begun", {"first_seq": first_seq}))


def test_a_late_picture_of_the_capture_process_before_is_passed_over(trust: Trust) -> None:
    trust.begin_capture(BEFORE, 1000, 10)
    assert trust.is_past(make_picture(11))
    assert not trust.is_past(make_picture(11, stream_id=BEFORE))
    assert not trust.is_past(make_picture(11, stream_id="0" * 32))


def test_nobody_sends_what_is_another_ones(trust: Trust) -> None:
    frame = Frame(STREAM, 0, 0, 0.0, None, SkipReason.FROZEN)
    with pytest.raises(WireError, match="an engine sent a Frame"):
        trust.check_engine(frame)
    with pytest.raises(WireError, match="a capture process sent a Result"):
        trust.check_capture(make_result())


def test_a_capture_that_died_accounts_for_what_came_of_it() -> None:
    ledger = Ledger()
    accounts = Accounts([ledger])
    accounts.begin(0, 0)
    accounts.hear({"decoded": 5, "displayed": 5, "dropped": 0, "sampled": 5})
    for index in range(9):  # four of them after its last word
        accounts.see(make_picture(index))
        ledger.add(index)
    accounts.see_frame(9)
    assert accounts.sum("sampled") == 10
    assert accounts.sum("decoded") == accounts.sum("displayed") == 9
    accounts.begin(1010, 9)
    assert accounts.are_even(), "nothing was sampled yet by the next one"
    accounts.see(make_picture(9, seq=1010))
    assert not accounts.are_even()
    ledger.begin_at(1010)
    ledger.add(1010)
    assert accounts.are_even()
    assert accounts.sum("sampled") - ledger.recorded == 1, "the one that went with it"


@pytest.mark.parametrize(
    "event",
    [
        Event("ready", {"backend": "a name of somebody", "precision": "f32", "members": 2}),
        Event("ready", {"backend": "openvino", "precision": "", "members": 2}),
        Event("reader-ready", {"reader": "two words", "backend": "a", "precision": "b"}),
        Event("ensemble-ready", {"backend": "openvino", "members": 2.5}),
        Event("ensemble-failed", {"error": "SomebodyError"}),
    ],
)
def test_what_the_record_does_not_take_is_not_believed(trust: Trust, event: Event) -> None:
    with pytest.raises(WireError, match="record"):
        trust.check_engine(event)


def test_what_engines_and_readers_say_of_themselves_passes(trust: Trust) -> None:
    said = {"backend": "openvino", "precision": "int8", "members": 3, "reason": "fastest of two"}
    for name in ("ready", "ensemble-ready"):
        trust.check_engine(Event(name, said))
    trust.check_engine(Event("reader-ready", {"reader": "structures", **said}))
    trust.check_engine(Event("ensemble-failed", {"error": "EngineFailedError"}))
    died = {"role": "reader:structures", "error": "EngineFailedError", "message": "it broke"}
    trust.check_engine(Event("failed", died))


def test_an_error_of_several_lines_can_be_told(trust: Trust) -> None:
    error = RuntimeError("Exception from a library:\n\tat \x1b[31mline 7\n" + "x" * 5000)
    said = {"role": "engine", "error": "EngineFailedError", "message": in_one_line(error)}
    trust.check_engine(Event("failed", said))
    assert said["message"].startswith("Exception from a library: at [31mline 7 x")


BOX = {"cx": 9.0, "cy": 8.0, "w": 4.0, "h": 2.0, "angle_deg": 0.0, "label": "csp", "score": 0.5}
HEAD = {"cx": 9, "cy": 8, "a": 5.0, "b": 4.0, "angle_deg": 30.0}
DRAWN: dict[str, Any] = {"plane": None, "boxes": [{**BOX, "unproven": False}], "head": HEAD}


def read(**said: Any) -> ReaderResult:
    at_ns = time.monotonic_ns()
    stamps = {"stream_id": STREAM, "seq": 0, "captured_ns": at_ns, "pts_s": 0.0}
    return ReaderResult(**stamps, reader="structures", said={**DRAWN, **said})


@pytest.mark.parametrize(
    "said",
    [
        {"boxes": [BOX]},
        {"boxes": [{**BOX, "unproven": False, "score": "0.5"}]},
        {"boxes": [{**BOX, "unproven": False, "w": float("nan")}]},
        {"boxes": [{**BOX, "unproven": False}] * 1000},
        {"boxes": "none"},
        {"head": {"cx": 1.0}},
        {"head": {**HEAD, "a": 1e8}},
        {"plane": ["axial"]},
        {"hc_mm": float("inf")},
        {"hc_mm": 2**62},
        {"planes": {"a": {"b": {"c": {"d": {}}}}}},
    ],
)
def test_a_reading_that_cannot_be_drawn_is_not_believed(trust: Trust, said: dict[str, Any]) -> None:
    trust.check_engine(read())
    with pytest.raises(WireError):
        trust.check_engine(read(**said))
