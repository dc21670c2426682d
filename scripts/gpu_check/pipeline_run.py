"""One run of the pipeline's check: its size, its time, and what it has found so far."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurosono.engine.files import write_whole

KEPT_S = 2.0
"""Of the time: what is left for writing and for ending processes."""


@dataclass(frozen=True)
class Scale:
    """How large everything is: on a card, or rehearsed on the processor."""

    members: int
    width: float
    size_px: int
    engine: str
    precision: str
    bench_s: float

    @property
    def engine_words(self) -> tuple[str, ...]:
        """What the commands are told of the engine."""
        return ("--engine", self.engine, "--precision", self.precision)


CARD = Scale(5, 1.0, 224, "torch-cuda", "fp16", 10.0)
REHEARSAL = Scale(2, 0.125, 64, "torch", "f32", 1.5)


@dataclass
class Check:
    """One run of this step: its scale, its time, and what was found."""

    out: Path
    work: Path
    scale: Scale
    until_s: float
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def on_card(self) -> bool:
        """Whether there is a GPU in it."""
        return self.scale is CARD

    @property
    def bundle(self) -> Path:
        """Where the bundle is."""
        return self.work / "bundle"

    def left_s(self) -> float:
        """Return how much time is left."""
        return self.until_s - KEPT_S - time.monotonic()

    def enter(self, name: str, value: Any) -> None:
        """Enter a finding and write all of them."""
        self.found[name] = value
        write_whole(self.out / "pipeline.json", json.dumps(self.found, indent=2) + "\n")

    def attempt(self, name: str, needs_s: float, run: Callable[[], Any]) -> None:
        """Run a part if there is time for it; what fails is told, and the next one runs."""
        if self.left_s() < needs_s:
            self.enter("not_reached", [*self.found.get("not_reached", []), name])
            say(f"{name}: not reached, {self.left_s():.0f} s left of the {needs_s:.0f} it needs")
            return
        begun_s = time.monotonic()
        try:
            value = run()
        except Exception as error:  # noqa: BLE001 - whatever fails, the others are worth their time
            value = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        took_s = time.monotonic() - begun_s
        self.enter(name, value)
        said = value.get("failed") or value.get("in_short", "") if isinstance(value, dict) else ""
        say(f"{name}: {said} ({took_s:.1f} s)")


def say(words: str) -> None:
    """Print a line now."""
    print(words, flush=True)  # noqa: T201
