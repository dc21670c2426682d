"""What one run through the real pipeline left behind: moments and milliseconds, not yet judged."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.reader import ReaderResult
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.bench.resources import Reading

WARMUP_PICTURES = 30
"""Pictures that are not measured: while they pass the region is found, and caches are cold."""


@dataclass(frozen=True)
class Shown:
    """One picture that was shown; moments are of the monotonic clock, nanoseconds.

    `due_ns` is when a live source would have given it, None in a closed loop. There, `begun_ns` to
    `drawn_ns` is the overlay; in an open loop both are when the picture was handed to the page's
    hub, and `done_ns` is when a viewer had it. `result_seq` is the newest result that was shown,
    `seen` the picture's index as read from what was shown.
    """

    index: int
    seq: int | None
    due_ns: int | None
    captured_ns: int
    begun_ns: int
    drawn_ns: int
    done_ns: int
    ai_on: bool
    result_seq: int | None
    seen: int | None
    stage_ms: dict[str, float]


@dataclass(frozen=True)
class Judged:
    """One sampled frame that came back: `used`, or skipped for `skip_reason`."""

    seq: int
    skip_reason: str | None
    stage_ms: dict[str, float]


@dataclass
class Trace:
    """One run. `frames` are its accounts as in `exam.json`; `engine` what judged."""

    asked_ns: int
    rate_hz: float = 0.0
    shown: list[Shown] = field(default_factory=list)
    judged: dict[int, Judged] = field(default_factory=dict)
    read: dict[int, dict[str, float]] = field(default_factory=dict)
    """Of each frame's `seq`, the milliseconds of what reads beside the first: `READER: stage`."""
    refreshed: list[tuple[int, int]] = field(default_factory=list)
    """The newest result's `seq` that each word between two pictures knew, and when it came."""
    readings: list[Reading] = field(default_factory=list)
    glass: GlassLog | None = None
    frames: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)

    def hear(self, reading: ReaderResult) -> None:
        """Note how long a reader took over a frame."""
        found = {f"{reading.reader}: {stage}": ms for stage, ms in reading.stage_ms.items()}
        self.read.setdefault(reading.seq, {}).update(found)

    @property
    def first_measured(self) -> int:
        """The place in `shown` from which pictures are measured: warm, and with the AI on."""
        on = next((place for place, each in enumerate(self.shown) if each.ai_on), 0)
        return min(on + WARMUP_PICTURES, max(on, len(self.shown) // 2))

    @property
    def measured(self) -> list[Shown]:
        """The pictures that are measured."""
        return self.shown[self.first_measured :]

    @property
    def measured_readings(self) -> list[Reading]:
        """The readings of CPU and memory in that time; all where fewer than two are."""
        warm = [each for each in self.readings if each.shown >= self.first_measured]
        return warm if len(warm) >= 2 else self.readings

    def stages(self) -> dict[str, list[float]]:
        """Return the milliseconds of every stage of the measured pictures and their frames."""
        found: dict[str, list[float]] = {}
        for each in self.measured:
            for stage, milliseconds in self._stages_of(each):
                found.setdefault(stage, []).append(milliseconds)
        return found

    def _stages_of(self, each: Shown) -> Iterator[tuple[str, float]]:
        if each.due_ns is None:
            yield "overlay", (each.drawn_ns - each.begun_ns) / 1e6
            yield "display", (each.done_ns - each.drawn_ns) / 1e6
        else:
            yield "page", (each.done_ns - each.begun_ns) / 1e6
        yield from each.stage_ms.items()
        if each.seq is None:
            return
        yield from self.read.get(each.seq, {}).items()
        judged = self.judged.get(each.seq)
        if judged is not None:
            yield from ((s, ms) for s, ms in judged.stage_ms.items() if s not in each.stage_ms)
