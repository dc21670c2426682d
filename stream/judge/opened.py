"""What the engine process judges with: opened when it is told, or for what it is expected to be."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import Choice, open_engine
from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.engine.gate import Gate
from neurosono.stream.judge.options import EngineOptions
from neurosono.stream.judge.read_ahead import STREAMS


@dataclass(frozen=True)
class Opened:
    """What the engine process judges with, before there is an exam."""

    bundle: Bundle
    student: Bundle | None
    gate: Gate | None
    choice: Choice

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


class Ahead:
    """Opens what the engine process will most likely be told to, before it is told."""

    def __init__(self) -> None:
        self._made: tuple[EngineOptions, Opened] | None = None

    def open(self, expected: EngineOptions) -> None:
        """Open what is `expected`; where that fails, it is told once it is asked for."""
        with suppress(NeurosonoError):
            self._made = expected, Opened.of(expected)

    def take(self, options: EngineOptions) -> Opened:
        """Return what `options` ask for, opened by now or here; raises as `Opened.of` does."""
        made, self._made = self._made, None
        if made is not None and _is_as_expected(options, *made):
            return made[1]
        return Opened.of(options)


def _is_as_expected(options: EngineOptions, expected: EngineOptions, opened: Opened) -> bool:
    """Whether `options` ask for what was opened; an exam and its heatmaps come later."""
    same_place = Path(options.bundle) == opened.bundle.root
    bundle, exam, cam_hz = expected.bundle, expected.exam, expected.cam_hz
    asked = replace(options, bundle=bundle, exam=exam, cam_hz=cam_hz)
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
