"""Runs a lossless replay that measures, and says what closed and open loops gave."""

import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import RunError
from neurosono.stream.bench.clip import BenchClip
from neurosono.stream.bench.measures import cumulate, measure_jitter, summarise, summarise_stages
from neurosono.stream.bench.resources import describe_usage
from neurosono.stream.bench.settings import BenchSettings
from neurosono.stream.bench.sink import MeasuringSink
from neurosono.stream.bench.trace import Shown, Trace
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.run import replay


def run_closed_loop(settings: BenchSettings, clip: BenchClip) -> Trace:
    """Replay `clip` once, lossless; raises as `stream.replay.run.replay` does."""
    made: list[MeasuringSink] = []

    def open_sink(options: ReplayOptions, bundle: Bundle) -> MeasuringSink:
        made.append(
            MeasuringSink(
                options.out,
                bundle.manifest,
                record=settings.record,
                period=clip.period,
                readers=tuple(options.load_readers()),
            )
        )
        return made[0]

    with tempfile.TemporaryDirectory(prefix="neurosono-bench-") as folder:
        replay(settings.for_replay(clip, Path(folder), realtime=False), open_sink=open_sink)
    return check_trace(made[0].trace)


def check_trace(trace: Trace) -> Trace:
    """Return a run that is long enough to measure; raises `RunError` for any other."""
    if len(trace.measured) < 2:
        raise RunError(
            f"only {len(trace.shown)} pictures were shown, too few to measure: "
            "choose a longer source or more --seconds"
        )
    return trace


def describe_closed_loop(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return what lossless runs as fast as they can say: `fps` is the median of the runs."""
    rates_hz = [measure_rate_hz(trace) for trace in traces]
    return {
        "fps": round(median(rates_hz), 3),
        "rounds_fps": rates_hz,
        "frames": [trace.frames for trace in traces],
        "measured": sum(len(trace.measured) for trace in traces),
        "startup_s": round(median(measure_startup_s(trace) for trace in traces), 3),
        "stages": summarise_stages(gather_stages(traces)),
        **_describe_usage(traces),
        "glass": merge_glass(traces),
    }


def _describe_usage(traces: Sequence[Trace]) -> dict[str, Any]:
    return describe_usage(
        [trace.readings for trace in traces], [trace.measured_readings for trace in traces]
    )


def measure_startup_s(trace: Trace) -> float:
    """Return the time from the start of the processes to the first overlay with the AI on."""
    first = next((each for each in trace.shown if each.ai_on), trace.shown[-1])
    return (first.done_ns - trace.asked_ns) / 1e9


def gather_stages(traces: Sequence[Trace]) -> dict[str, list[float]]:
    """Return the milliseconds of every stage, of all runs together."""
    found: dict[str, list[float]] = {}
    for trace in traces:
        for stage, samples in trace.stages().items():
            found.setdefault(stage, []).extend(samples)
    return found


def merge_glass(traces: Sequence[Trace]) -> dict[str, int] | None:
    """Return the counts of what was read from pixels, of all runs; None where nothing was."""
    counts: dict[str, int] = {}
    for trace in traces:
        for name, count in ({} if trace.glass is None else trace.glass.describe()).items():
            counts[name] = counts.get(name, 0) + count
    return counts or None


def measure_rate_hz(trace: Trace) -> float:
    """Return pictures finished a second, from the first measured one to the last."""
    first, last = trace.measured[0], trace.measured[-1]
    return round((len(trace.measured) - 1) * 1e9 / max(1, last.done_ns - first.done_ns), 3)


def describe_open_loop(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return what runs in real time say, all together.

    `age_ms` is from when a picture was due to when a viewer of the page had it. `answer_age_ms` is
    from when a frame was due to when the first word of the page that knows its result was there.
    `glass_age_ms` is the age of what the picture really shows, by the number in its pixels.
    """
    ages = [measure_ages_ms(trace.measured) for trace in traces]
    answers = [measure_answer_ages_ms(trace) for trace in traces]
    glass = [age for trace in traces for age in measure_glass_ages_ms(trace.measured)]
    return {
        "rate_hz": round(traces[-1].rate_hz, 3),
        "pictures": sum(len(trace.measured) for trace in traces),
        "not_measured_at_start": sum(trace.first_measured for trace in traces),
        "age_ms": summarise(_join(ages)),
        "answer_age_ms": summarise(_join(answers)),
        "glass_age_ms": summarise(glass),
        "rounds_age_ms": [summarise(each) for each in ages],
        "rounds_answer_age_ms": [summarise(each) for each in answers],
        "jitter_ms": summarise([gap for trace in traces for gap in measure_jitter_ms(trace)]),
        "drops": _add_up([count_drops(trace) for trace in traces]),
        "frames": [trace.frames for trace in traces],
        **_describe_usage(traces),
        "glass": merge_glass(traces),
        "cdf": {"age": cumulate(_join(ages)), "answer": cumulate(_join(answers))},
    }


def measure_jitter_ms(trace: Trace) -> list[float]:
    """Return by how much the gaps between shown pictures differ from the source's period."""
    moments = [each.done_ns / 1e6 for each in trace.measured]
    return measure_jitter(moments, 1e3 / trace.rate_hz)


def _join(parts: Sequence[Sequence[float]]) -> list[float]:
    return [value for part in parts for value in part]


def _add_up(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(each[name] for each in counts) for name in counts[0]}


def measure_ages_ms(pictures: list[Shown]) -> list[float]:
    """Return each picture's age when it was shown, counted from when it was due."""
    return [(each.done_ns - each.due_ns) / 1e6 for each in pictures if each.due_ns is not None]


def measure_glass_ages_ms(pictures: list[Shown]) -> list[float]:
    """Return the ages of what was shown, by their pixels."""
    due_ns = {each.index: each.due_ns for each in pictures}
    return [
        (each.done_ns - due) / 1e6
        for each in pictures
        if each.seen is not None and (due := due_ns.get(each.seen)) is not None
    ]


def measure_answer_ages_ms(trace: Trace) -> list[float]:
    """Return how old each used frame was when its result, or a newer one, was first known."""
    ages: list[float] = []
    pending: list[tuple[int, int]] = []
    refreshed = deque(trace.refreshed)

    def settle(known: int, done_ns: int) -> None:
        ages.extend((done_ns - due_ns) / 1e6 for seq, due_ns in pending if seq <= known)
        pending[:] = [(seq, due_ns) for seq, due_ns in pending if seq > known]

    for each in trace.measured:
        while refreshed and refreshed[0][1] <= each.done_ns:
            settle(*refreshed.popleft())
        judged = None if each.seq is None else trace.judged.get(each.seq)
        if each.due_ns is not None and judged is not None and judged.skip_reason is None:
            pending.append((judged.seq, each.due_ns))
        known = -1 if each.result_seq is None or not each.ai_on else each.result_seq
        settle(known, each.done_ns)
    for known, done_ns in refreshed:
        settle(known, done_ns)
    return ages


def count_drops(trace: Trace) -> dict[str, int]:
    """Return pictures never shown and frames never judged: of the whole run, and when warm."""
    measured = trace.measured
    span = measured[-1].index - measured[0].index + 1
    seqs = [each.seq for each in measured if each.seq is not None]
    superseded = [
        judged.seq for judged in trace.judged.values() if judged.skip_reason == "superseded"
    ]
    first = min(seqs, default=0)
    return {
        "pictures": span - len(measured),
        "frames": sum(seq >= first for seq in superseded),
        "pictures_with_start": int(trace.frames["decoded"]) - len(trace.shown),
        "frames_with_start": len(superseded),
    }
