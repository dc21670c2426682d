"""What may be shown of a reader at a moment, and how old it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds.told import Told

LIFE_S = 0.5
"""After so long what was said of a frame is gone (docs/architecture.md, rule 2)."""


class AiState(StrEnum):
    """Whether anything is judging what is seen; the words are those on the screen."""

    ON = "AI ON"
    OFF = "AI OFF"
    STARTING = "AI STARTING"
    NO_SIGNAL = "NO SIGNAL"


@dataclass(frozen=True, eq=False)
class ShownReading:
    """How a reader stands, why it is not on, and, only while it is, what it says.

    `latest` is what it said of a frame, `exam` what its frames add up to, in its `kind`'s words.
    """

    kind: str
    ai: AiState
    reason: str = ""
    latest: ReaderResult | None = None
    exam: Mapping[str, Any] | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    pixels: Pixels | None = None
    """The region of the very frame that `latest` is of."""
    told: Told = field(default_factory=Told)
    """What `exam` comes to in words."""

    def frame_at(self, pts_s: float) -> ReaderResult | None:
        """Return what was said of a frame, unless that is too old at `pts_s`, or to come."""
        if self.latest is None or not -1e-4 <= pts_s - self.latest.pts_s < LIFE_S:
            return None
        return self.latest


LONGEST_PX = 640
"""Of a frame that is shown with what was found on it: twice what the page gives it."""


def describe_reading(shown: ShownReading, now_ns: int) -> dict[str, Any]:
    """Return it as a page is told; what was said of a frame is gone after `LIFE_S`."""
    latest = shown.latest
    age_ms = None if latest is None else (now_ns - latest.captured_ns) / 1e6
    fresh = latest if age_ms is not None and age_ms < LIFE_S * 1e3 else None
    return {
        "kind": shown.kind,
        "ai": str(shown.ai),
        "reason": shown.reason,
        "told": None if shown.exam is None else shown.told.to_dict(),
        "exam": None if shown.exam is None else dict(shown.exam),
        "frame": None if fresh is None else {"seq": fresh.seq, **(fresh.said or {})},
        "age_ms": None if fresh is None else age_ms,
    }
