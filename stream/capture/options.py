"""What the capture process is told; travels as JSON."""

import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.sources.limits import MediaLimits


class Pace(StrEnum):
    """How pictures come, and what becomes of one that nobody is free to take."""

    LOSSLESS = "lossless"
    """A recording as fast as it is taken: every picture waits for its turn."""
    REALTIME = "realtime"
    """A recording once, at its own pace: a newer picture takes an older one's place."""
    LIVE = "live"
    """A scanner's pictures as they come, for as long as the session lasts; newer ones win."""

    @property
    def newest_wins(self) -> bool:
        """Whether a newer picture takes the place of one that still waits."""
        return self is not Pace.LOSSLESS


@dataclass(frozen=True)
class CaptureOptions:
    """What the capture process is told.

    `sources` are recordings, played one after the other, or live the one link. A capture process
    that takes the place of another goes on at its `first_seq` and `first_index`. `strict`, `mixed`
    and `limits` are as in `open_source`. `readers` are the bundles beside the first, and how each
    would have its pictures.
    """

    sources: tuple[str, ...]
    preprocessing: PreprocessingSpec
    pace: Pace = Pace.LOSSLESS
    every: int | None = 1
    rate_hz: float | None = None
    strict: bool = False
    mixed: bool = False
    region: str | None = None
    mm_per_px: float | None = None
    limits: MediaLimits = field(default_factory=MediaLimits)
    show_screen: bool = False
    first_seq: int = 0
    first_index: int = 0
    readers: dict[str, PreprocessingSpec] = field(default_factory=dict)
    stream_id: str = field(default_factory=lambda: uuid.uuid4().hex)
