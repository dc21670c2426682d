"""What is made of the moments of a run, by hand-made runs."""

from dataclasses import replace

import pytest

from neurosono.engine.contracts.reader import ReaderResult
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.bench.loops import (
    count_drops,
    describe_closed_loop,
    describe_open_loop,
    gather_stages,
    measure_ages_ms,
    measure_answer_ages_ms,
    measure_glass_ages_ms,
    measure_rate_hz,
)
from neurosono.stream.bench.measures import summarise_stages
from neurosono.stream.bench.resources import Reading
from neurosono.stream.bench.timeline import draw_up_timeline
from neurosono.stream.bench.trace import Judged, Shown, Trace
from neurosono.stream.processes.usage import Usage

MS = 1_000_000


def show(
    index: int, *, late_ms: int = 8, knows: int | None = None, seen: int | None = None
) -> Shown:
    due_ns = index * 40 * MS
    return Shown(
        index=index,
        seq=index,
        due_ns=due_ns,
        captured_ns=due_ns,
        begun_ns=due_ns + (late_ms - 1) * MS,
        drawn_ns=due_ns + late_ms * MS,
        done_ns=due_ns + late_ms * MS,
        ai_on=True,
        result_seq=knows,
        seen=index if seen is None else seen,
        stage_ms={"decode": 2.0, "screen": 0.5, "send": 0.25},
    )


def make_trace(shown: list[Shown], superseded: tuple[int, ...] = ()) -> Trace:
    judged = {
        each.index: Judged(
            each.index,
            "superseded" if each.index in superseded else None,
            {"decode": 2.0, "screen": 0.5, "preprocess": 0.5, "sample": 1.0}
            | ({} if each.index in superseded else {"wait": 0.5, "network": 4.0, "exam": 0.1}),
        )
        for each in shown
    }
    usages = [
        Reading(at, {"display": Usage(at * 0.002, 100, 60), "engine": Usage(at * 0.01, 9, 9)})
        for at in (5, 10)
    ]
    return Trace(
        asked_ns=-500 * MS,
        rate_hz=25.0,
        shown=shown,
        judged=judged,
        readings=usages,
        glass=GlassLog(100),
        frames={"decoded": len(shown) + 3},
    )


def test_the_warm_up_is_not_measured_but_never_takes_all() -> None:
    assert make_trace([show(i) for i in range(100)]).first_measured == 30
    assert make_trace([show(i) for i in range(10)]).first_measured == 5


def test_what_reads_beside_the_first_has_stages_of_its_own() -> None:
    trace = make_trace([show(i) for i in range(100)])
    for seq in range(90):
        took = {"network": 3.0 + seq}
        trace.hear(ReaderResult("a" * 32, seq, 0, 0.0, "structures", {}, stage_ms=took))
    stages = summarise_stages(gather_stages([trace]))
    assert stages["structures: network"]["count"] == 60  # from 30 on, where the run is warm
    assert stages["structures: network"]["max"] == 92.0


def test_age_counts_from_when_a_picture_was_due() -> None:
    trace = make_trace([show(i, late_ms=8 + i) for i in range(4)])
    assert measure_ages_ms(trace.shown) == [8.0, 9.0, 10.0, 11.0]


def test_age_by_pixels_sees_an_old_picture_on_a_new_canvas() -> None:
    shown = [show(0), show(1), show(2, seen=1)]
    assert measure_glass_ages_ms(shown) == [8.0, 8.0, 48.0]


def test_an_answer_is_as_old_as_the_first_overlay_that_knows_it() -> None:
    known = [None, 0, 1, 3]
    shown = [show(i, knows=k) for i, k in enumerate(known)]
    trace = make_trace(shown)
    trace.shown = [*[show(i) for i in (-3, -2, -1)], *shown]
    assert trace.measured == shown
    # 0 and 1 are known one picture later, 2 at the same time as 3, with picture 3
    assert measure_answer_ages_ms(trace) == [48.0, 48.0, 48.0, 8.0]


def test_an_answer_that_was_drawn_between_two_pictures_is_younger() -> None:
    shown = [show(i, knows=k) for i, k in enumerate([None, 0, 0, 2])]
    trace = make_trace([*[show(i) for i in (-3, -2, -1)], *shown])
    between_ns = shown[1].done_ns + 12_000_000  # picture 1 was 8 ms old when it was shown
    trace.refreshed = [(0, shown[0].done_ns + 5_000_000), (1, between_ns)]
    assert measure_answer_ages_ms(trace) == [13.0, 20.0, 48.0]


def test_drops_are_told_apart_from_those_at_the_start() -> None:
    shown = [show(i) for i in (*range(5), *range(5, 9), 11, 12)]
    trace = make_trace(shown, superseded=(1, 7))
    assert count_drops(trace) == {
        "pictures": 2,
        "frames": 1,
        "pictures_with_start": 3,
        "frames_with_start": 2,
    }


def test_the_rate_is_that_of_finished_overlays() -> None:
    assert measure_rate_hz(make_trace([show(i) for i in range(80)])) == pytest.approx(25.0)


def test_the_loops_say_all_that_is_asked() -> None:
    trace = make_trace([show(i, knows=i - 1) for i in range(80)])
    lossless = make_trace([replace(each, due_ns=None) for each in trace.shown])
    closed = describe_closed_loop([lossless] * 3)
    assert closed["fps"] == pytest.approx(25.0)
    assert closed["rounds_fps"] == [closed["fps"]] * 3
    assert closed["startup_s"] == pytest.approx(0.508)
    assert closed["cpu_ms_per_frame"] == {
        "display": 2.0,
        "engine": 10.0,
        "together": 12.0,
        "without_engine": 2.0,
    }
    assert closed["memory_mib"]["together"] == 69
    opened = describe_open_loop([trace])
    assert opened["age_ms"]["p50"] == 8.0
    assert opened["answer_age_ms"]["p99"] == 48.0
    assert opened["jitter_ms"]["max"] == pytest.approx(0.0, abs=1e-6)
    before = ["decode", "screen", "preprocess", "sample", "send", "wait", "network", "exam"]
    assert list(closed["stages"]) == [*before, "overlay", "display"]
    assert list(summarise_stages(gather_stages([trace]))) == [*before, "page"]


def test_a_timeline_lays_the_stages_end_to_end() -> None:
    pictures = draw_up_timeline(make_trace([show(i) for i in range(20)]))
    assert len(pictures) == 4
    first = pictures[0]
    assert first["due_ms"] == 0.0
    bars = {bar["stage"]: bar for bar in first["bars"]}
    assert bars["decode"]["start_ms"] == 0.0
    assert bars["screen"]["start_ms"] == bars["decode"]["end_ms"] == 2.0
    assert bars["network"]["start_ms"] == 2.0 + 0.5 + 0.5 + 1.0 + 0.5
    assert bars["page"]["end_ms"] == 8.0
