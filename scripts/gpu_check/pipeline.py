"""The real pipeline on the card: rate and age, an engine killed in mid-exam, broken engines.

    python -m neurosono.scripts.gpu_check.pipeline --out DIR --seconds 150

A bundle of five ResNet34 of full width and random weights, and the product's own commands. Writes
DIR/pipeline.json anew after each finding. `--rehearse` runs the same on the CPU, tiny.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from neurosono.scripts.gpu_check.pipeline_bundle import (
    CARD,
    REHEARSAL,
    Check,
    write_random_bundle,
)
from neurosono.scripts.gpu_check.pipeline_commands import Said, name_now, read_moment, run_command
from neurosono.scripts.gpu_check.pipeline_faults import (
    break_engines,
    start_live,
    use_up_memory,
    use_up_memory_beside,
)
from neurosono.scripts.gpu_check.record import Found, Record, make_parser, run_step
from neurosono.stream.bench.clip import render_clip

LONGEST_S = 60.0
"""What one command may take: the parts behind it are worth their time too."""

GOAL_FPS = 500.0
"""Below this the processor must not be what limits one stream."""


def make_bundle(check: Check) -> Found:
    """Write the bundle and the clip that the sessions below read."""
    scale, device = check.scale, "cuda" if check.on_card else "cpu"
    write_random_bundle(check.bundle, scale, device)
    torch.cuda.empty_cache()
    render_clip(check.clip.parent, 4.0 if check.on_card else 1.5, 30.0)
    shown = f"{scale.members} members of width {scale.width:g} at {scale.size_px} px"
    return {"in_short": shown}


def ask_doctor(check: Check) -> Found:
    """Return which engines the product says run here."""
    path = check.work / "doctor.json"
    words = ("doctor", "--bundle", check.bundle, "--json", path)
    said = run_command(*words, limit_s=check.limit(LONGEST_S))
    told = json.loads(path.read_text()) if path.is_file() else {}
    runs = [each["engine"] for each in told.get("engines", []) if each["runs"]]
    reasons = {each["engine"]: each["reason"] for each in told.get("engines", [])}
    found = {"reasons": reasons, "auto": told.get("auto"), "in_short": f"runs: {', '.join(runs)}"}
    return said.to_json() | found


def bench(check: Check, rate_hz: float) -> Found:
    """Run closed and open loop once; return the report's figures and what the CPU allows."""
    path = check.work / f"bench-{rate_hz:g}.json"
    asked = f"bench --seconds {check.scale.bench_s:g} --rate {rate_hz:g} --rounds 1".split()
    given = ("--json", path, "--bundle", check.bundle)
    engine, limit_s = check.scale.engine_words, check.limit(LONGEST_S)
    said = run_command(*asked, *given, *engine, limit_s=limit_s)
    if said.code != 0 or not path.is_file():
        return said.to_json() | {"failed": f"exit code {said.code}: {said.last}"}
    return draw_up_bench(json.loads(path.read_text()), said)


def draw_up_bench(report: Found, said: Said) -> Found:
    """Return of a bench's report what this check is about."""
    closed, opened = report["closed_loop"], report["open_loop"]
    costs = closed["cpu_ms_per_frame"] or {}
    allows = {role: round(1e3 / ms, 1) for role, ms in costs.items() if ms > 0}
    slowest = min(allows, key=lambda role: allows[role]) if allows else None
    age, answer = opened["age_ms"], opened["answer_age_ms"]
    short = f"{closed['fps']:.0f} fps, picture {age['p50']:.1f}/{age['p99']:.1f} ms"
    if answer is not None:
        short += f", answer {answer['p50']:.1f}/{answer['p99']:.1f} ms"
    return {
        "source": report["source"],
        "engine": report["engine"],
        "closed_fps": closed["fps"],
        "closed_stages_ms": closed["stages"],
        "closed_cpu_ms": costs,
        "one_core_of_each_allows_fps": allows,
        "slowest_process": slowest,
        "goal_fps": GOAL_FPS,
        "goal_met": closed["fps"] >= GOAL_FPS,
        "startup_s": closed["startup_s"],
        "open": {key: value for key, value in opened.items() if key != "cdf"},
        "open_stages_ms": report["stages"],
        "wall_s": round(said.wall_s, 1),
        "in_short": short,
    }


def build_fallback(check: Check) -> Found:
    """Build the processor's engine into the bundle, as a user would."""
    words = ("build", check.bundle, "--engine", "openvino", "--precision", "fp16")
    said = run_command(*words, limit_s=check.limit(LONGEST_S))
    return said.to_json() | {"in_short": said.last}


def kill_engine(check: Check, name: str) -> Found:
    """Kill the engine's process in mid-exam; return how long until AI OFF and until the next."""
    with start_live(check, name) as live:
        if live.wait_for_ai(check.limit(60.0)) is None:
            return {"failed": f"the AI never was on: {live.finish(5.0)['said']}"}
        time.sleep(1.5)  # an exam that runs for a while
        live.wait_for_spare(check.limit(8.0))
        engine = next(iter(live.find_engines()), None)
        if engine is None:
            return {"failed": "no engine process was found"}
        before = live.last_of_ai()
        killed = name_now()
        engine.kill()
        back = live.wait_for_ai(check.limit(40.0), killed)
        time.sleep(1.0 if back else 0.0)
        found = live.finish(check.limit(15.0))
        told = [each for each in live.hear() if read_moment(each) >= killed]
    shown = draw_up_kill(found, told, lambda at: (read_moment(at) - killed).total_seconds())
    return shown | {"ai_when_killed": before}


def draw_up_kill(found: Found, told: list[Found], since_s: Callable[[Found], float]) -> Found:
    """Return what followed a kill: when AI OFF, which engine came when, and the accounts."""
    turns = [each for each in told if each.get("part") == "ai"]
    off = next((since_s(each) for each in turns if each["value"] == "off"), None)
    on = next((since_s(each) for each in turns if each["value"] == "on"), None)
    ready = next((each for each in told if each["event"] == "ready"), {})
    frames, skipped = found.get("frames", {}), found.get("frames", {}).get("skipped", {})
    even = bool(frames) and (
        frames["decoded"] == frames["displayed"] + frames["dropped"]
        and frames["sampled"] == frames["used"] + sum(skipped.values())
    )
    short = f"AI OFF after {off} s, AI ON after {on} s by {ready.get('backend')}, even: {even}"
    return {
        "off_s": off,
        "ready_s": since_s(ready) if ready else None,
        "on_s": on,
        "next_engine": ready,
        "ai_off_between": off is not None and on is not None and off < on,
        "within_a_second": on is not None and on < 1.0,
        "accounts_even": even,
        **found,
        "events": told,
        "in_short": short,
    }


def look_for_decoder(check: Check) -> Found:
    """Return whether PyAV here was built to decode on the GPU; we decode on the processor."""
    del check
    import av
    from av.codec import codecs_available
    from av.codec.hwaccel import hwdevices_available

    cuvid = sorted(name for name in codecs_available if name.endswith("_cuvid"))
    devices = sorted(hwdevices_available())
    return {"av": av.__version__, "devices": devices, "cuvid": cuvid, "in_short": str(devices)}


def run(record: Record, options: argparse.Namespace) -> None:
    """Run the parts in the order of their worth."""
    check = Check(record, REHEARSAL if options.rehearse else CARD)

    def attempt(name: str, needs_s: float, part: Callable[..., Found], *words: object) -> None:
        if check.on_card or part not in (use_up_memory, use_up_memory_beside):
            record.attempt(name, needs_s, partial(part, check, *words))

    attempt("bundle", 10, make_bundle)
    attempt("doctor", 10, ask_doctor)
    attempt("bench_30_hz", 20, bench, 30.0)
    attempt("bench_60_hz", 20, bench, 60.0)
    attempt("fallback_built", 10, build_fallback)
    attempt("engine_killed", 15, kill_engine, "killed")
    attempt("memory_used_up", 12, use_up_memory)
    attempt("engines_broken", 12, break_engines)
    attempt("memory_used_up_beside", 12, use_up_memory_beside)
    attempt("engine_killed_again", 15, kill_engine, "killed-again")
    attempt("decoder", 1, look_for_decoder)


def main(words: Sequence[str] | None = None) -> int:
    """Run the step; returns 1 where a part failed or was not reached."""
    return run_step("pipeline", make_parser(str(__doc__), 150), run, words, needs="gpu")


if __name__ == "__main__":
    sys.exit(main())
