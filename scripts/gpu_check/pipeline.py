"""The real pipeline on the card: rate and age, an engine killed in mid-exam, broken engines.

    python -m neurosono.scripts.gpu_check.pipeline --out DIR --seconds 150

A bundle of five ResNet34 of full width and random weights, and the product's own commands. Writes
DIR/pipeline.json anew after each finding. `--rehearse` runs the same on the CPU, tiny.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from neurosono.engine.host import describe_host
from neurosono.scripts.gpu_check.pipeline_bundle import write_random_bundle
from neurosono.scripts.gpu_check.pipeline_commands import (
    LiveRun,
    Said,
    name_now,
    read_moment,
    run_command,
)
from neurosono.scripts.gpu_check.pipeline_faults import (
    break_engines,
    use_up_memory,
    use_up_memory_beside,
)
from neurosono.scripts.gpu_check.pipeline_run import CARD, REHEARSAL, Check
from neurosono.scripts.gpu_check.record import read_card
from neurosono.stream.bench.clip import render_clip

LONGEST_S = 60.0
"""What one command may take: the parts behind it are worth their time too."""

GOAL_FPS = 500.0
"""Below this the processor must not be what limits one stream."""


def describe_card() -> dict[str, Any]:
    """Return what every figure belongs to."""
    return {
        "date_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": " ".join(sys.orig_argv[1:]),
        "card": read_card(),
        "cuda": torch.version.cuda,
        "cores": len(os.sched_getaffinity(0)),
        "host": describe_host(),
    }


def make_bundle(check: Check) -> dict[str, Any]:
    """Write the bundle and the clip that the sessions below read."""
    scale, device = check.scale, "cuda" if check.on_card else "cpu"
    write_random_bundle(check.bundle, scale.members, scale.width, scale.size_px, device)
    torch.cuda.empty_cache()
    (check.work / "clips").mkdir()
    render_clip(check.work / "clips", 4.0 if check.on_card else 1.5, 30.0)
    shown = f"{scale.members} members of width {scale.width:g} at {scale.size_px} px"
    return {"in_short": shown}


def ask_doctor(check: Check) -> dict[str, Any]:
    """Return which engines the product says run here."""
    path = check.work / "doctor.json"
    said = run_command("doctor", "--bundle", check.bundle, "--json", path, limit_s=check.left_s())
    told = json.loads(path.read_text()) if path.is_file() else {}
    runs = [each["engine"] for each in told.get("engines", []) if each["runs"]]
    reasons = {each["engine"]: each["reason"] for each in told.get("engines", [])}
    words = f"runs: {', '.join(runs)}"
    return said.to_json() | {"reasons": reasons, "auto": told.get("auto"), "in_short": words}


def bench(check: Check, rate_hz: float) -> dict[str, Any]:
    """Run closed and open loop once; return the report's figures and what the CPU allows."""
    path = check.work / f"bench-{rate_hz:g}.json"
    asked = ("--seconds", f"{check.scale.bench_s:g}", "--rate", f"{rate_hz:g}", "--rounds", "1")
    words = (
        "bench",
        "--bundle",
        str(check.bundle),
        *check.scale.engine_words,
        *asked,
        "--json",
        str(path),
    )
    said = run_command(*words, limit_s=min(LONGEST_S, check.left_s()))
    if said.code != 0 or not path.is_file():
        return said.to_json() | {"failed": f"exit code {said.code}: {said.last}"}
    return draw_up_bench(json.loads(path.read_text()), said)


def draw_up_bench(report: dict[str, Any], said: Said) -> dict[str, Any]:
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


def build_fallback(check: Check) -> dict[str, Any]:
    """Build the processor's engine into the bundle, as a user would."""
    words = ("build", check.bundle, "--engine", "openvino", "--precision", "fp16")
    said = run_command(*words, limit_s=min(LONGEST_S, check.left_s()))
    return said.to_json() | {"in_short": said.last}


def kill_engine(check: Check, name: str) -> dict[str, Any]:
    """Kill the engine's process in mid-exam; return how long until AI OFF and until the next."""
    source = f"loop:{check.work / 'clips' / 'once.mp4'}"
    words = (source, "--bundle", str(check.bundle), *check.scale.engine_words)
    with LiveRun(check.work / name, words) as live:
        if live.wait_for_ai(min(60.0, check.left_s())) is None:
            return {"failed": f"the AI never was on: {live.finish(5.0)['said']}"}
        time.sleep(1.5)  # an exam that runs for a while
        live.wait_for_spare(min(8.0, check.left_s()))
        engine = next(iter(live.find_engines()), None)
        if engine is None:
            return {"failed": "no engine process was found"}
        before = live.last_of_ai()
        killed = name_now()
        engine.kill()
        back = live.wait_for_ai(min(40.0, check.left_s()), killed)
        time.sleep(1.0 if back else 0.0)
        found = live.finish(min(15.0, check.left_s()))
        told = [each for each in live.hear() if read_moment(each) >= killed]
    shown = draw_up_kill(found, told, lambda at: (read_moment(at) - killed).total_seconds())
    return shown | {"ai_when_killed": before}


def draw_up_kill(
    found: dict[str, Any],
    told: list[dict[str, Any]],
    since_s: Callable[[dict[str, Any]], float],
) -> dict[str, Any]:
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


def look_for_decoder(check: Check) -> dict[str, Any]:
    """Return whether PyAV here was built to decode on the GPU; we decode on the processor."""
    del check
    import av
    from av.codec import codecs_available
    from av.codec.hwaccel import hwdevices_available

    cuvid = sorted(name for name in codecs_available if name.endswith("_cuvid"))
    devices = sorted(hwdevices_available())
    return {"av": av.__version__, "devices": devices, "cuvid": cuvid, "in_short": str(devices)}


def run(check: Check) -> None:
    """Run the parts in the order of their worth."""
    check.enter("about", describe_card())
    check.attempt("bundle", 10.0, lambda: make_bundle(check))
    check.attempt("doctor", 10.0, lambda: ask_doctor(check))
    check.attempt("bench_30_hz", 20.0, lambda: bench(check, 30.0))
    check.attempt("bench_60_hz", 20.0, lambda: bench(check, 60.0))
    check.attempt("fallback_built", 10.0, lambda: build_fallback(check))
    check.attempt("engine_killed", 15.0, lambda: kill_engine(check, "killed"))
    if check.on_card:
        check.attempt("memory_used_up", 12.0, lambda: use_up_memory(check))
    check.attempt("engines_broken", 12.0, lambda: break_engines(check))
    if check.on_card:
        check.attempt("memory_used_up_beside", 12.0, lambda: use_up_memory_beside(check))
    check.attempt("engine_killed_again", 15.0, lambda: kill_engine(check, "killed-again"))
    check.attempt("decoder", 1.0, lambda: look_for_decoder(check))


def main() -> int:
    """Run the step; exit code 1 where a part failed or was not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--data", type=Path, help="Not needed: all that is judged is made here.")
    parser.add_argument("--rehearse", action="store_true", help="On the CPU, tiny.")
    options, _ = parser.parse_known_args()
    until_s = time.monotonic() + options.seconds
    if not options.rehearse and not torch.cuda.is_available():
        sys.exit("the pipeline's check needs an NVIDIA GPU, its driver and a torch built for CUDA")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        scale = REHEARSAL if options.rehearse else CARD
        check = Check(options.out, Path(work), scale, until_s)
        run(check)
    failed = [name for name, each in check.found.items() if "failed" in each]
    return int(bool(failed or check.found.get("not_reached")))


if __name__ == "__main__":
    sys.exit(main())
