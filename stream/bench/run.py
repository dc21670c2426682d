"""The whole bench: closed loops, open loops and floors in turns, and one report of them."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.host import describe_host
from neurosono.stream.bench.clip import BenchClip, render_clip
from neurosono.stream.bench.loops import (
    describe_closed_loop,
    describe_open_loop,
    gather_stages,
    run_closed_loop,
)
from neurosono.stream.bench.measures import compare_pairs, cumulate, summarise, summarise_stages
from neurosono.stream.bench.open_loop import run_open_loop
from neurosono.stream.bench.settings import BenchSettings
from neurosono.stream.bench.timeline import draw_up_timeline
from neurosono.stream.bench.trace import Trace
from neurosono.stream.bench.yardstick import Yardstick

SCHEMA = "neurosono-bench/1"


@dataclass
class Rounds:
    """What the rounds gave, one entry a round."""

    closed: list[Trace] = field(default_factory=list)
    open: list[Trace] = field(default_factory=list)
    network: list[dict[str, Any]] = field(default_factory=list)
    floor_closed: list[dict[str, Any]] = field(default_factory=list)
    floor_open: list[dict[str, Any]] = field(default_factory=list)


def run_bench(
    settings: BenchSettings,
    rival: BenchSettings | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure, and return the report. Raises `InputError` before, `RunError` in the middle.

    `rival` are other settings to run in turns with these, on the same clip: see `compare`.
    """
    bundle = Bundle.load(settings.bundle)
    with open_clip(settings, on_step) as clip:
        yardstick = open_yardstick(settings, bundle, clip)
        rounds, others = Rounds(), Rounds()
        for number in range(settings.rounds):
            on_step(f"round {number + 1} of {settings.rounds}")
            run_round(settings, clip, yardstick, rounds, floor_first=number % 2 == 0)
            if rival is not None:
                on_step(f"round {number + 1} of {settings.rounds}: what it is compared with")
                run_round(rival, clip, None, others, floor_first=False)
    report = draw_up(settings, bundle, clip, rounds)
    if rival is not None:
        report["rival"] = {
            "settings": rival.to_json(),
            "closed_loop": describe_closed_loop(others.closed),
            "open_loop": describe_open_loop(others.open),
        }
    return report


@contextmanager
def open_clip(settings: BenchSettings, on_step: Callable[[str], None]) -> Iterator[BenchClip]:
    """Give the user's source as it is, or a phantom clip in a folder that goes again."""
    if settings.source is not None:
        yield BenchClip((settings.source,), 0, "a source of the user's")
        return
    with tempfile.TemporaryDirectory(prefix="neurosono-clip-") as folder:
        on_step("rendering the phantom clip")
        yield render_clip(Path(folder), settings.seconds, settings.rate_hz, settings.size_px)


def open_yardstick(settings: BenchSettings, bundle: Bundle, clip: BenchClip) -> Yardstick | None:
    """Return what the pipeline is measured beside: the network alone, and the floor if asked for.

    None where there is none: another engine, or a clip without numbers and no floor asked for.
    """
    if settings.floor or (settings.engine in ("auto", "openvino") and clip.period):
        return Yardstick(settings, bundle, clip)
    return None


def run_round(
    settings: BenchSettings,
    clip: BenchClip,
    yardstick: Yardstick | None,
    rounds: Rounds,
    *,
    floor_first: bool,
) -> None:
    """Run everything once; who goes first changes, so that neither always finds a cool machine."""
    if yardstick is not None:
        rounds.network.append(yardstick.run("network"))

    def run_floor(kind: str, into: list[dict[str, Any]]) -> None:
        if yardstick is not None and settings.floor:
            into.append(yardstick.run(kind))

    if floor_first:
        run_floor("closed", rounds.floor_closed)
    rounds.closed.append(run_closed_loop(settings, clip))
    if not floor_first:
        run_floor("closed", rounds.floor_closed)
        run_floor("open", rounds.floor_open)
    rounds.open.append(run_open_loop(settings, clip))
    if floor_first:
        run_floor("open", rounds.floor_open)


def draw_up(
    settings: BenchSettings, bundle: Bundle, clip: BenchClip, rounds: Rounds
) -> dict[str, Any]:
    """Return the report of what the rounds gave."""
    closed, opened = describe_closed_loop(rounds.closed), describe_open_loop(rounds.open)
    network = _describe_network(rounds)
    floor = _describe_floor(rounds) if rounds.floor_closed else None
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": describe_host(),
        "settings": settings.to_json(),
        "source": clip.description,
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.manifest.digest},
        "engine": rounds.closed[-1].engine,
        "closed_loop": closed,
        "open_loop": opened,
        "stages": summarise_stages(gather_stages(rounds.open)),
        "network_floor": network,
        "floor": floor,
        "ratios": find_ratios(closed, opened, network, floor),
        "timeline": draw_up_timeline(rounds.open[-1]),
    }


def _describe_network(rounds: Rounds) -> dict[str, Any] | None:
    if not rounds.network:
        return None
    medians = [median(each["latencies_ms"]) for each in rounds.network]
    together = [value for each in rounds.network for value in each["latencies_ms"]]
    return {
        "fps": round(1e3 / median(medians), 3),
        "rounds_fps": [round(1e3 / each, 3) for each in medians],
        "ms": summarise(together),
    }


def _describe_floor(rounds: Rounds) -> dict[str, Any]:
    rates_hz = [float(each["fps"]) for each in rounds.floor_closed]
    ages = [age for each in rounds.floor_open for age in each["ages_ms"]]
    return {
        "fps": round(median(rates_hz), 3),
        "rounds_fps": rates_hz,
        "cpu_ms_per_frame": median(each["cpu_ms_per_frame"] for each in rounds.floor_closed),
        "peak_mib": max(each["peak_mib"] for each in rounds.floor_closed),
        "streams": rounds.floor_closed[-1]["streams"],
        "age_ms": summarise(ages),
        "rounds_age_ms": [summarise(each["ages_ms"]) for each in rounds.floor_open],
        "cdf": cumulate(ages),
    }


def find_ratios(
    closed: dict[str, Any],
    opened: dict[str, Any],
    network: dict[str, Any] | None,
    floor: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return ratios to the floors, from the pairs of each round: rates up, ages down is better."""
    found: dict[str, Any] = {}

    def enter(name: str, new: list[float], old: list[float]) -> None:
        ratio = compare_pairs(new, old)
        if ratio is not None:
            found[name] = ratio.to_json()

    if network is not None:
        enter("closed_loop_fps_to_network", closed["rounds_fps"], network["rounds_fps"])
    if floor is not None:
        enter("closed_loop_fps_to_floor", closed["rounds_fps"], floor["rounds_fps"])
        for name in ("age", "answer_age"):
            for level in ("p50", "p99"):
                ours = [(each or {}).get(level, 0.0) for each in opened[f"rounds_{name}_ms"]]
                theirs = [(each or {}).get(level, 0.0) for each in floor["rounds_age_ms"]]
                enter(f"{name}_{level}_to_floor", ours, theirs)
    return found
