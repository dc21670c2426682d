"""What a user asks of a live session, and what each process is told of it."""

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from engine.bundle import Bundle
from engine.contracts.errors import InputError
from engine.contracts.preprocessing import PreprocessingSpec
from stream.sampler import Sampler
from stream.worker import EngineOptions


@dataclass(frozen=True)
class SessionOptions:
    """What the user asked for. `every` and `rate_hz` exclude each other, as in `Sampler`."""

    source: str
    bundle: str = "demo"
    every: int | None = 1
    rate_hz: float | None = None
    region: str | None = None
    show_screen: bool = False
    cam_hz: float = 5.0
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    threads: int = 0
    second_read: bool = False

    def __post_init__(self) -> None:
        Sampler(self.every, self.rate_hz)  # refuses what samples nothing
        if not 0 <= self.cam_hz <= 1000:
            raise InputError(f"--cam-hz must be 0 (no heatmap) to 1000, found {self.cam_hz}")
        if self.threads < 0:
            raise InputError(f"--threads must be 0 (all cores) or more, found {self.threads}")

    def for_capture(self, bundle: Bundle, first_seq: int, first_index: int) -> dict[str, Any]:
        """Return what a capture process is told; another goes on where the one before stopped."""
        return {
            "stream_id": uuid.uuid4().hex,
            "source": self.source,
            "preprocessing": bundle.manifest.preprocessing.to_json(),
            "every": self.every,
            "rate_hz": self.rate_hz,
            "region": self.region,
            "show_screen": self.show_screen,
            "first_seq": first_seq,
            "first_index": first_index,
        }

    def for_engine(self, bundle: Bundle, exam: dict[str, Any] | None) -> dict[str, Any]:
        """Return what an engine process is told; `exam` is the state to go on from."""
        return asdict(
            EngineOptions(
                bundle=str(bundle.root),
                engine=self.engine,
                precision=self.precision,
                members=self.members,
                threads=self.threads,
                cam_hz=self.cam_hz,
                realtime=True,
                exam=exam,
            )
        )


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
