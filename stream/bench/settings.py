"""What is measured: the options of `neurosono bench`, checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.clip import HEIGHT_PX, RATE_HZ, WIDTH_PX, BenchClip
from neurosono.stream.replay.options import ReplayOptions


@dataclass(frozen=True)
class BenchSettings:
    """What the user asked for.

    `seconds` is the length of the phantom clip and `size_px` its width and height; a source of the
    user's is played to its end. One frame in `every` is judged.
    `rounds` closed loops (and floors) are run in turns, so that ratios come from pairs.
    """

    source: str | None = None
    bundle: str = "demo"
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    threads: int = 0
    cam_hz: float = 5.0
    seconds: float = 10.0
    rate_hz: float = RATE_HZ
    size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)
    every: int = 1
    rounds: int = 3
    floor: bool = False
    record: bool = False
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 100:
            raise InputError(f"--rounds must be 1 to 100, found {self.rounds}")

    def for_replay(self, clip: BenchClip, out: Path, *, realtime: bool) -> ReplayOptions:
        """Return what the real pipeline is asked for."""
        return ReplayOptions(
            sources=clip.sources,
            out=out,
            bundle=self.bundle,
            every=self.every,
            realtime=realtime,
            engine=self.engine,
            precision=self.precision,
            members=self.members,
            threads=self.threads,
            cam_hz=self.cam_hz,
            also=self.also,
        )

    def as_in(self, report: Mapping[str, Any]) -> "BenchSettings | None":
        """Return what an older report was asked for, to be run on this bundle and clip.

        None where that is the same as here: then there is nothing that could be run in turns.
        """
        found = report.get("settings", {})
        names = ("engine", "precision", "members", "threads", "cam_hz", "record", "every")
        other = replace(self, **{name: found[name] for name in names if name in found})
        return None if other == self else other

    def to_json(self) -> dict[str, Any]:
        """Return the settings for the report; a source of the user's is not named."""
        return asdict(self) | {"source": None if self.source is None else "given"}
