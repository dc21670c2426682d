"""What a user asks of a replay."""

from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.capture.options import Pace
from neurosono.stream.replay.files import OUTPUT_NAMES
from neurosono.stream.session.options import Judging
from neurosono.stream.sources.files.kinds import is_there


@dataclass(frozen=True)
class ReplayOptions(Judging):
    """What the user asked of a replay."""

    sources: tuple[str, ...]
    out: Path
    realtime: bool = False
    video: bool = True

    @property
    def played(self) -> tuple[str, ...]:
        """The sources that are played."""
        return self.sources

    @property
    def pace(self) -> Pace:
        """How they are played."""
        return Pace.REALTIME if self.realtime else Pace.LOSSLESS

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
