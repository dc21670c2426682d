"""What the overlay is told of one frame: everything it may show, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import Result
from neurosono.stream.view.heatmap import Heatmap
from neurosono.stream.view.reading import AiState, ShownReading

__all__ = ["AiState", "Heatmap", "OverlayState"]


LATE_MS = 500.0
"""An answer that is older than this is no answer: the AI is OFF (docs/architecture.md, rule 1)."""


@dataclass(frozen=True)
class OverlayState:
    """What to draw with one frame.

    `ai_reason` says why the AI is not on. `result` is the latest one, with the exam so far in it;
    it and `heatmap` are ignored unless the AI is on. `skip_reason` is that of the frame shown.
    The counts are frames of the exam so far, `pts_s` the shown frame's time in seconds, `engine`
    what judges, such as "openvino int8 x3"; `unrecorded` why what is shown is not in the record,
    empty where it is, or where none is kept; `opinion_age_ms` how old what the AI says is.
    `readings` are those of the bundles beside it.
    """

    ai: AiState
    ai_reason: str = ""
    result: Result | None = None
    heatmap: Heatmap | None = None
    skip_reason: SkipReason | None = None
    decoded: int = 0
    sampled: int = 0
    used: int = 0
    dropped: int = 0
    pts_s: float = 0.0
    engine: str = ""
    unrecorded: str = ""
    opinion_age_ms: float = 0.0
    readings: Mapping[str, ShownReading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = (self.decoded, self.sampled, self.used, self.dropped)
        if min(counts) < 0 or not 0.0 <= self.pts_s < float("inf"):
            raise InputError(
                f"counts and time must not be negative, found {counts} and {self.pts_s} s"
            )

    @property
    def shown_result(self) -> Result | None:
        """The result as far as it may be shown: none unless the AI is on, and none too old."""
        shown = self.ai is AiState.ON and self.opinion_age_ms <= LATE_MS
        return self.result if shown else None

    @property
    def shown_frame_used(self) -> bool:
        """Whether the very frame on the screen has just added evidence."""
        result = self.shown_result
        if result is None or self.skip_reason is not None or not result.used:
            return False
        return abs(result.pts_s - self.pts_s) < _SAME_FRAME_S

    def heatmap_life(self, life_s: float) -> float:
        """Return how much life the heatmap has left: 1 when new, 0 from an age of `life_s` on.

        One of a frame that has not been shown yet has none either.
        """
        if self.ai is not AiState.ON or self.opinion_age_ms > LATE_MS or self.heatmap is None:
            return 0.0
        age_s = self.pts_s - self.heatmap.pts_s
        if age_s < -_SAME_FRAME_S or age_s > life_s - _SAME_FRAME_S:
            return 0.0
        return min(1.0, max(0.0, 1.0 - age_s / life_s))


_SAME_FRAME_S = 1e-4
"""Times nearer than this are one frame's: far below any frame interval, far above rounding."""
