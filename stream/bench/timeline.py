"""Where each frame was when: a few pictures in a row, laid out by process and stage."""

from typing import Any

from neurosono.stream.bench.trace import Shown, Trace

PICTURES = 4
"""Pictures in a row that are laid out: enough to see the beat, in a tenth of a second."""

BEFORE_CAPTURED = ("decode",)
AFTER_CAPTURED = ("screen", "preprocess", "sample", "send")


def draw_up_timeline(trace: Trace) -> list[dict[str, Any]]:
    """Return pictures from the middle of a run, each with its bars.

    A bar has `lane` (capture, engine or display), `stage`, `start_ms` and `end_ms`, counted from
    when the first of the pictures was due (or decoded, in a closed loop).
    """
    middle = len(trace.measured) // 2
    chosen = trace.measured[max(0, middle - PICTURES // 2) :][:PICTURES]
    if not chosen:
        return []
    first = chosen[0]
    origin_ns = first.captured_ns if first.due_ns is None else first.due_ns
    return [_lay_out(trace, each, origin_ns) for each in chosen]


def _lay_out(trace: Trace, each: Shown, origin_ns: int) -> dict[str, Any]:
    judged = None if each.seq is None else trace.judged.get(each.seq)
    stages = each.stage_ms | ({} if judged is None else judged.stage_ms)
    bars: list[dict[str, Any]] = []

    def add(lane: str, stage: str, start_ms: float, length_ms: float) -> float:
        end_ms = start_ms + length_ms
        times = {"start_ms": round(start_ms, 3), "end_ms": round(end_ms, 3)}
        bars.append({"lane": lane, "stage": stage, **times})
        return end_ms

    captured_ms = (each.captured_ns - origin_ns) / 1e6
    at_ms = captured_ms  # of a paced picture when it was due, of another when it was decoded
    if each.due_ns is None:
        at_ms -= stages.get("decode", 0.0)
    for stage in (*BEFORE_CAPTURED, *AFTER_CAPTURED):
        if stage == "send":
            sent_ms = at_ms
        at_ms = add("capture", stage, at_ms, stages.get(stage, 0.0))
    if "network" in stages:
        at_ms = sent_ms + stages.get("wait", 0.0)
        at_ms = add("engine", "network", at_ms, stages["network"])
        add("engine", "exam", at_ms, stages.get("exam", 0.0))
    begun_ms = (each.begun_ns - origin_ns) / 1e6
    if each.due_ns is None:
        at_ms = add("display", "overlay", begun_ms, (each.drawn_ns - each.begun_ns) / 1e6)
        add("display", "display", at_ms, (each.done_ns - each.drawn_ns) / 1e6)
    else:
        add("display", "page", begun_ms, (each.done_ns - each.begun_ns) / 1e6)
    due_ms = None if each.due_ns is None else round((each.due_ns - origin_ns) / 1e6, 3)
    return {"index": each.index, "seq": each.seq, "due_ms": due_ms, "bars": bars}
