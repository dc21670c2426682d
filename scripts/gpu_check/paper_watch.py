"""What a long step on a GPU is watched by: what was found, its time, and how fast it learns."""

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import write_whole
from neurosono.training.fit.member import Step
from neurosono.training.recipe import Recipe

Json = dict[str, Any]


class Findings:
    """What was found so far, on disk after each part."""

    def __init__(self, out: Path, about: Json) -> None:
        self._path = out / "paper.json"
        self.data: Json = {"notice": NOTICE, "about": about}
        self._lock = threading.Lock()

    def tell(self, part: str, found: Json) -> None:
        """Add a part, write everything, and print a line."""
        with self._lock:
            self.data[part] = found
            write_whole(self._path, json.dumps(self.data, indent=1) + "\n")
        line = found.get("failed") or ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in found.items()
            if isinstance(value, int | float | str)
        )
        sys.stdout.write(f"paper: {part}: {line}\n")
        sys.stdout.flush()


@dataclass
class Clock:
    """The seconds that the step may take."""

    seconds: float
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def spent_s(self) -> float:
        """Return how long the step has run."""
        return time.monotonic() - self.begun_s

    @property
    def left_s(self) -> float:
        """Return what is left."""
        return self.seconds - self.spent_s

    def check(self, keep_s: float) -> None:
        """Raise `TimeoutError` where less than `keep_s` is left."""
        if self.left_s < keep_s:
            raise TimeoutError(
                f"{self.left_s:.0f} s were left, and {keep_s:.0f} are kept for what follows"
            )


class Follower:
    """Hears the steps of a run: its speed, one member's losses, and the end of its time."""

    def __init__(self, clock: Clock, keep_s: float, recipe: Recipe, size_px: int) -> None:
        self._clock, self._keep_s, self._recipe, self._size_px = clock, keep_s, recipe, size_px
        self._begun_s: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._last_s: dict[int, float] = {}
        self.losses: list[float] = []

    def __call__(self, step: Step) -> None:
        """Take a step down; raise `TimeoutError` when the run must end."""
        self._clock.check(self._keep_s)
        if step.validation is not None:
            return
        if step.member == 0:
            self.losses.append(round(step.loss, 4))
        size_px = self._recipe.size_at(step.epoch, self._size_px)
        now_s = self._clock.spent_s
        # The first step of a size pays for what is set up once: it starts the clock.
        if size_px not in self._begun_s:
            self._begun_s[size_px] = now_s
        else:
            self._seen[size_px] = self._seen.get(size_px, 0) + self._recipe.batch
        self._last_s[size_px] = now_s

    def speeds(self) -> dict[int, float]:
        """Return pictures learnt from a second at each input size, of all processes together."""
        return {
            size: seen / max(self._last_s[size] - self._begun_s[size], 1e-6)
            for size, seen in self._seen.items()
        }

    def speed(self, size_px: int) -> float:
        """Return pictures a second at this size, guessed by area where others were seen; or 0."""
        areas = {size: speed * (size / size_px) ** 2 for size, speed in self.speeds().items()}
        return areas.get(size_px, max(areas.values(), default=0.0))
