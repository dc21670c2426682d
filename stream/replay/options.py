"""What a user asks of a replay, and what each process is told of it."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.stream.capture.options import CaptureOptions
from neurosono.stream.judge.options import EngineOptions, Judging
from neurosono.stream.replay.files import OUTPUT_NAMES
from neurosono.stream.sources.files.kinds import is_there


@dataclass(frozen=True)
class ReplayOptions(Judging):
    """What the user asked of a replay."""

    sources: tuple[str, ...]
    out: Path
    realtime: bool = False
    video: bool = True
    strict: bool = False
    mixed: bool = False

    def check_sources(self) -> None:
        """Raise `InputError` where the results would be written over, or read as, a source."""
        out = self.out.resolve()
        for source in self.sources:
            path = Path(source).resolve()
            inside = is_there(path) and path.is_dir() and out.is_relative_to(path)
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
            strict=self.strict,
            mixed=self.mixed,
            region=self.region,
            show_screen=self.show_screen,
        )
        return capture, self.describe_engine(bundle, realtime=self.realtime)
