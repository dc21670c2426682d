"""What replay and live ask alike: which frames are judged, of which region, and by which engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.exam.pair import check_pair
from neurosono.stream.intake.sampler import Sampler


@dataclass(frozen=True)
class EngineOptions:
    """What the engine process is told; travels as JSON."""

    bundle: str
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    threads: int = 0
    cam_hz: float = 5.0
    realtime: bool = False
    exam: dict[str, Any] | None = None
    """The state of an exam that an engine before this one had begun."""
    avoid: tuple[str, ...] = ()
    """Engines that failed in this session: the best other one takes over."""
    student: str | None = None
    """A bundle that judges every frame; `bundle` then judges as many as time allows. `engine`,
    `precision` and `members` are said of `bundle`: the student takes the best that it has."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What the user asked for. `every` and `rate_hz` exclude each other, as in `Sampler`."""

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
    student: str | None = None

    def __post_init__(self) -> None:
        Sampler(self.every, self.rate_hz)  # refuses what samples nothing
        if not 0 <= self.cam_hz <= 1000:
            raise InputError(f"--cam-hz must be 0 (no heatmap) to 1000, found {self.cam_hz}")
        if self.threads < 0:
            raise InputError(f"--threads must be 0 (all cores) or more, found {self.threads}")

    def load_student(self, bundle: Bundle) -> Bundle | None:
        """Return the bundle that judges every frame before `bundle` does, if one was named.

        Raises `BundleError` where it is none or does not go with `bundle`.
        """
        if self.student is None:
            return None
        student = Bundle.load(self.student)
        check_pair(bundle, student)
        return student

    def describe_engine(
        self,
        bundle: Bundle,
        *,
        realtime: bool,
        exam: dict[str, Any] | None = None,
        avoid: Sequence[str] = (),
    ) -> EngineOptions:
        """Return what an engine process is told.

        `exam` is the state to go on from, `avoid` the engines that failed in this session.
        """
        return EngineOptions(
            bundle=str(bundle.root),
            engine=self.engine,
            precision=self.precision,
            members=self.members,
            threads=self.threads,
            cam_hz=self.cam_hz,
            realtime=realtime,
            exam=exam,
            avoid=tuple(avoid),
            student=self.student,
        )
