"""What the engine process judges with: opened when it is told, or for what it is expected to be."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import Choice, open_engine
from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.engine.gate import Gate
from neurosono.stream.judge.options import EngineOptions
from neurosono.stream.judge.read_ahead import STREAMS
from neurosono.stream.processes.heap import give_back

OPEN_ALREADY = "it was open already"


@dataclass(frozen=True)
class Opened:
    """What the engine process judges with, before there is an exam."""

    bundle: Bundle
    student: Bundle | None
    gate: Gate | None
    choice: Choice
    warm: bool = False
    """Whether gate and engine have judged a picture of nothing."""

    @classmethod
    def of(cls, options: EngineOptions) -> Self:
        """Open what `options` ask for; raises a `NeurosonoError` where that cannot be."""
        bundle = Bundle.load(options.bundle, trusted=options.trusted_keys)
        student = None
        if options.student is not None:
            student = Bundle.load(options.student, trusted=options.trusted_keys)
        gate = Gate.open(bundle)
        # live, one frame on all cores is soonest done
        streams = 1 if options.newest_wins or options.threads == 1 else STREAMS
        return cls(bundle, student, gate, _open_first(options, bundle, student, streams))

    def warm_up(self) -> Self:
        """Judge nothing once, as many runtimes compile only when they are first asked."""
        nothing = np.zeros((self.bundle.manifest.preprocessing.size_px,) * 2, dtype=np.uint8)
        self.choice.backend.infer(nothing[None])
        if self.gate is not None:
            self.gate.judge(nothing)
        reason = f"{self.choice.reason}; {OPEN_ALREADY}"
        return replace(self, choice=replace(self.choice, reason=reason), warm=True)


class Ahead:
    """Opens what the engine process will most likely be told to, before it is told."""

    def __init__(self) -> None:
        self._made: tuple[EngineOptions, Opened] | None = None

    def open(self, expected: EngineOptions) -> None:
        """Open what is `expected`; where that fails, it is told once it is asked for.

        What is to take over from an engine is `warm`; the same engine anew is not kept.
        """
        with suppress(NeurosonoError, OSError, RuntimeError):
            opened = Opened.of(expected)
            if not expected.avoid:
                self._made = expected, opened
            elif opened.choice.backend.name not in expected.avoid:
                self._made = expected, opened.warm_up()
                give_back()

    def take(self, options: EngineOptions) -> Opened:
        """Return what `options` ask for, opened by now or here; raises as `Opened.of` does."""
        made, self._made = self._made, None
        if made is not None and _is_as_expected(options, *made):
            return made[1]
        del made  # before another one takes memory
        return Opened.of(options)


def _is_as_expected(options: EngineOptions, expected: EngineOptions, opened: Opened) -> bool:
    """Whether `options` ask for what was opened; an exam and its heatmaps come later."""
    same_place = Path(options.bundle) == opened.bundle.root
    bundle, exam, cam_hz = expected.bundle, expected.exam, expected.cam_hz
    asked = replace(options, bundle=bundle, exam=exam, cam_hz=cam_hz)
    if opened.choice.stands_in and asked.server is not None:
        # how the server is asked later, and when, is no matter of what stands in for it
        asked = replace(asked, server=expected.server)
    return same_place and asked == expected


def _open_first(
    options: EngineOptions, bundle: Bundle, student: Bundle | None, streams: int
) -> Choice:
    """Open the engine that judges every frame, `streams` of them at once."""
    how = (options.threads, options.avoid, streams)
    if student is not None:
        return open_engine(student, "auto", None, None, *how)
    wanted = (options.engine, options.precision, options.members)
    return open_engine(bundle, *wanted, *how, options.server)
