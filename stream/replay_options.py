"""What a user asks of a replay, and what each process is told of it."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from engine.bundle import Bundle
from engine.contracts.errors import InputError
from stream.capture import CaptureOptions
from stream.record import OUTPUT_NAMES
from stream.worker import EngineOptions


@dataclass(frozen=True)
class ReplayOptions:
    """What the user asked for. `every` and `rate_hz` exclude each other, as in `Sampler`."""

    sources: tuple[str, ...]
    out: Path
    bundle: str = "demo"
    every: int | None = 1
    rate_hz: float | None = None
    realtime: bool = False
    region: str | None = None
    show_screen: bool = False
    cam_hz: float = 5.0
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    threads: int = 0
    video: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.cam_hz <= 1000:
            raise InputError(f"--cam-hz must be 0 (no heatmap) to 1000, found {self.cam_hz}")
        if self.threads < 0:
            raise InputError(f"--threads must be 0 (all cores) or more, found {self.threads}")

    def check_sources(self) -> None:
        """Raise `InputError` where the results would be written over, or read as, a source."""
        out = self.out.resolve()
        for source in self.sources:
            path = Path(source).resolve()
            inside = path.is_dir() and out.is_relative_to(path)
            if inside or (path.parent == out and path.name in OUTPUT_NAMES):
                raise InputError(
                    f"--out {self.out} would put the results among the sources, over or beside "
                    "what is replayed: choose a folder outside"
                )

    def split(self, bundle: Bundle) -> tuple[CaptureOptions, EngineOptions]:
        """Return what the capture and what the engine process need to know."""
        capture = CaptureOptions(
            stream_id=uuid.uuid4().hex,
            sources=self.sources,
            preprocessing=bundle.manifest.preprocessing,
            every=self.every,
            rate_hz=self.rate_hz,
            realtime=self.realtime,
            region=self.region,
            show_screen=self.show_screen,
        )
        engine = EngineOptions(
            bundle=str(bundle.root),
            engine=self.engine,
            precision=self.precision,
            members=self.members,
            threads=self.threads,
            cam_hz=self.cam_hz,
            realtime=self.realtime,
        )
        return capture, engine
