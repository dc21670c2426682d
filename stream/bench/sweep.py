"""The bench over several settings: one table of what each choice costs on this machine."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.host import describe_host
from neurosono.stream.bench.measures import compare_pairs
from neurosono.stream.bench.run import Rounds, draw_up, open_clip, open_yardstick, run_round
from neurosono.stream.bench.settings import BenchSettings

if TYPE_CHECKING:
    from neurosono.stream.bench.clip import BenchClip

SCHEMA = "neurosono-bench-sweep/1"
LARGEST = 64
"""Combinations: at half a minute each, more would take longer than anybody waits."""


def _read_size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.split("x"))
    return width, height


AXES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "members": ("members", int),
    "precision": ("precision", str),
    "engine": ("engine", str),
    "every": ("every", int),
    "threads": ("threads", int),
    "size": ("size_px", _read_size),
}
"""What may be swept: the word, the setting that it changes, and how a value is read."""


def read_axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Read `members=1,3` and the like, in the order given; raises `InputError` otherwise."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in AXES or not values:
            raise InputError(
                f"--sweep {text!r} cannot be read: expected NAME=VALUE,VALUE with a name of "
                f"{', '.join(AXES)}, such as members=1,3 or size=640x480,1280x720"
            )
        try:
            axes[name] = [AXES[name][1](value) for value in values.split(",")]
        except ValueError as error:
            raise InputError(f"--sweep {text!r} has a value that {name} cannot take") from error
    return axes


def combine(settings: BenchSettings, axes: dict[str, list[Any]]) -> list[BenchSettings]:
    """Return the settings of every combination, the last axis running fastest."""
    if "size" in axes and settings.source is not None:
        raise InputError("--sweep size=... is for the phantom clip: leave the source out")
    found = [
        replace(
            settings, **{AXES[name][0]: value for name, value in zip(axes, values, strict=True)}
        )
        for values in product(*axes.values())
    ]
    if len(found) > LARGEST:
        raise InputError(f"--sweep asks for {len(found)} combinations, more than {LARGEST}")
    return found


def run_sweep(
    settings: BenchSettings,
    axes: dict[str, list[Any]],
    on_step: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure every combination, in turns within each round; return the report.

    In turns, so that what else runs on the machine weighs on all of them alike: `to_first` are the
    ratios to the first combination from the pairs of each round.
    """
    choices = combine(settings, axes)
    bundle = Bundle.load(settings.bundle)
    rounds = [Rounds() for _ in choices]
    with ExitStack() as stack:
        clips: dict[tuple[int, int], BenchClip] = {}
        for choice in choices:
            if choice.size_px not in clips:
                clips[choice.size_px] = stack.enter_context(open_clip(choice, on_step))
        yardsticks = [open_yardstick(each, bundle, clips[each.size_px]) for each in choices]
        for number in range(settings.rounds):
            for index, choice in enumerate(choices):
                on_step(f"round {number + 1} of {settings.rounds}: {describe_choice(choice, axes)}")
                run_round(
                    choice,
                    clips[choice.size_px],
                    yardsticks[index],
                    rounds[index],
                    floor_first=number % 2 == 0,
                )
        runs = [
            {"choice": describe_choice(choice, axes)}
            | draw_up(choice, bundle, clips[choice.size_px], found)
            for choice, found in zip(choices, rounds, strict=True)
        ]
    for run in runs:
        run["to_first"] = _compare(run, runs[0])
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "host": describe_host(),
        "axes": {name: [str(value) for value in values] for name, values in axes.items()},
        "runs": runs,
    }


def describe_choice(settings: BenchSettings, axes: dict[str, list[Any]]) -> str:
    """Return what sets one combination apart, as the user wrote it."""
    words = []
    for name in axes:
        value = getattr(settings, AXES[name][0])
        words.append(f"{name}={'x'.join(map(str, value)) if name == 'size' else value}")
    return " ".join(words)


def _compare(run: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    pairs = {
        "closed_loop_fps": [each["closed_loop"]["rounds_fps"] for each in (run, first)],
        "answer_age_p50": [
            [(age or {}).get("p50", 0.0) for age in each["open_loop"]["rounds_answer_age_ms"]]
            for each in (run, first)
        ],
    }
    ratios = {name: compare_pairs(*both) for name, both in pairs.items()}
    return {name: None if ratio is None else ratio.to_json() for name, ratio in ratios.items()}
