"""All that the engine process opens before it judges; a spare one opens it ahead."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import Choice, open_engine
from neurosono.engine.contracts.errors import ServerAwayError
from neurosono.engine.familiarity import Familiarity, open_familiarity
from neurosono.engine.gate import Gate
from neurosono.stream.judge.options import EngineOptions
from neurosono.stream.judge.read_ahead import STREAMS
from neurosono.stream.processes.heap import give_back

OPEN_ALREADY = "it was open already"
"""Said of an engine that takes over from another and was opened while that one judged."""


@dataclass(frozen=True)
class Opened:
    """Verified bundles, and the engine that judges every frame (`student`'s, where there is one).

    Gate and engine have judged a picture of nothing, for many runtimes compile only when they are
    first asked.
    """

    bundle: Bundle
    student: Bundle | None
    gate: Gate | None
    choice: Choice
    familiarity: Familiarity | None


def open_all(options: EngineOptions) -> Opened:
    """Open what `options` ask for; raises `NeurosonoError` where bundle or engine is of no use."""
    bundle = Bundle.load(options.bundle, trusted=options.trusted_keys)
    student = None
    if options.student is not None:
        student = Bundle.load(options.student, trusted=options.trusted_keys)
    gate = Gate.open(bundle)
    choice = _open_first(options, bundle, student)
    nothing = np.zeros((bundle.manifest.preprocessing.size_px,) * 2, dtype=np.uint8)
    with suppress(ServerAwayError) if options.patient else suppress():
        choice.backend.infer(nothing[None])
    if gate is not None:
        gate.judge(nothing)
    familiarity = open_familiarity(bundle if student is None else student)
    give_back()
    return Opened(bundle, student, gate, choice, familiarity)


def _open_first(options: EngineOptions, bundle: Bundle, student: Bundle | None) -> Choice:
    """Open the engine that judges every frame."""
    # live, one frame on all cores is soonest done
    streams = 1 if options.newest_wins or options.threads == 1 else STREAMS
    how = (options.threads, options.avoid, streams)
    if student is not None:
        return open_engine(student, "auto", None, None, *how)
    wanted = (options.engine, options.precision, options.members)
    return open_engine(bundle, *wanted, *how, options.server)


class Standby:
    """What a spare process holds open for the one that it may have to take over from."""

    def __init__(self) -> None:
        self._held: tuple[EngineOptions, Opened] | None = None

    def prepare(self, options: EngineOptions) -> None:
        """Open ahead what `options` ask for; raises as `open_all`.

        An engine that `options` would rather avoid is let go again: it is the one that judges.
        """
        opened = open_all(options)
        if opened.choice.backend.name not in options.avoid:
            self._held = options, opened

    def take(self, options: EngineOptions) -> Opened:
        """Return what is open if it is what `options` ask for, else open that."""
        held, self._held = self._held, None
        if held is None or not options.opens_as(held[0]):
            del held  # before memory is needed for the other one
            return open_all(options)
        opened = held[1]
        reason = f"{opened.choice.reason}; {OPEN_ALREADY}"
        return replace(opened, choice=replace(opened.choice, reason=reason))
