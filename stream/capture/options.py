"""What a capture process is told; travels as JSON."""

from dataclasses import dataclass
from typing import Any

from neurosono.engine.contracts.preprocessing import PreprocessingSpec


@dataclass(frozen=True)
class CaptureOptions:
    """What the capture process is told; travels as JSON.

    `realtime` plays at the source's pace and lets newer frames win; otherwise nothing is lost.
    `strict` and `mixed` are as in `open_source`.
    """

    stream_id: str
    sources: tuple[str, ...]
    preprocessing: PreprocessingSpec
    every: int | None = 1
    rate_hz: float | None = None
    realtime: bool = False
    strict: bool = False
    mixed: bool = False
    region: str | None = None
    show_screen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what the child reads."""
        return {
            **self.__dict__,
            "sources": list(self.sources),
            "preprocessing": self.preprocessing.to_json(),
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "CaptureOptions":
        """Read what the parent wrote."""
        spec = PreprocessingSpec.from_json(found["preprocessing"])
        return cls(**{**found, "sources": tuple(found["sources"]), "preprocessing": spec})


@dataclass(frozen=True)
class LiveCaptureOptions:
    """What the live capture process reads from its parent."""

    stream_id: str
    source: str
    preprocessing: PreprocessingSpec
    every: int | None
    rate_hz: float | None
    region: str | None
    show_screen: bool
    first_seq: int
    first_index: int

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "LiveCaptureOptions":
        """Read what `SessionOptions.for_capture` gave."""
        spec = PreprocessingSpec.from_json(found["preprocessing"])
        return cls(**{**found, "preprocessing": spec})
