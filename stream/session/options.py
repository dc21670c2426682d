"""What every session is asked: which frames are judged, of which region, and by which engine."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from neurosono.engine.backends import REMOTE
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.server import Server
from neurosono.engine.exam.pair import check_pair
from neurosono.engine.structures.biometry import check_scale
from neurosono.engine.structures.weeks import check_weeks
from neurosono.stream.capture.options import CaptureOptions, Pace
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.judge.options import EngineOptions, ReaderOptions
from neurosono.stream.sources.limits import MediaLimits

LOSSLESS_ANSWER_S = 30.0
"""How long a replay waits for a server's answer to one frame."""

OFF_S, SHORTEST_ANSWER_S = 0.45, 0.15
"""After how long a silent server is AI OFF, the screen's own 500 ms being near; and how long it has
at least, where frames are asked for so seldom that this cannot be kept."""

LAST_RESORT = "openvino"
"""The engine that is tried again where it fails."""


@dataclass(frozen=True, kw_only=True)
class Judging(ABC):
    """What the user asked for. `every` and `rate_hz` exclude each other, as in `Sampler`.

    `also` are bundles of any kind that read the same frames beside `bundle`; `weeks` is the
    gestational age of the first exam, for those that are bound to one. `trusted_keys` is the
    list of keys of which one must have signed each bundle, None where nobody asks. `strict`,
    `mixed` and `limits` are as in `open_source`.

    Which sources are played, and at what `pace`, is for those to say who build on this.
    """

    bundle: str = "demo"
    every: int | None = 1
    rate_hz: float | None = None
    region: str | None = None
    mm_per_px: float | None = None
    weeks: float | None = None
    show_screen: bool = False
    cam_hz: float = 5.0
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    threads: int = 0
    student: str | None = None
    also: tuple[str, ...] = ()
    strict: bool = False
    mixed: bool = False
    limits: MediaLimits = field(default_factory=MediaLimits)
    trusted_keys: str | None = None
    server: Server | None = None

    def __post_init__(self) -> None:
        Sampler(self.every, self.rate_hz)  # refuses what samples nothing
        if not 0 <= self.cam_hz <= 1000:
            raise InputError(f"--cam-hz must be 0 (no heatmap) to 1000, found {self.cam_hz}")
        check_scale(self.mm_per_px)
        check_weeks(self.weeks)
        if self.threads < 0:
            raise InputError(f"--threads must be 0 (all cores) or more, found {self.threads}")
        if (self.engine == "remote") != (self.server is not None):
            raise InputError("--engine remote and --server URL go together: give both or neither")

    def gives_way(self, judging: str) -> bool:
        """Whether another engine takes over where the one that is `judging` fails."""
        if judging == REMOTE:
            return self.server is not None and self.server.fallback
        return judging != LAST_RESORT

    @property
    @abstractmethod
    def played(self) -> tuple[str, ...]:
        """The sources that are played."""

    @property
    @abstractmethod
    def pace(self) -> Pace:
        """How they are played."""

    def load_bundle(self) -> Bundle:
        """Return the bundle that carries the exam; raises `BundleError`."""
        return Bundle.load(self.bundle, trusted=self.trusted_keys)

    def load_student(self, bundle: Bundle) -> Bundle | None:
        """Return the bundle that judges every frame before `bundle` does, if one was named.

        Raises `BundleError` where it is none or does not go with `bundle`.
        """
        if self.student is None:
            return None
        student = Bundle.load(self.student, trusted=self.trusted_keys)
        check_pair(bundle, student)
        return student

    def load_readers(self) -> dict[str, Bundle]:
        """Return the bundles that read beside the first, by the names of their readings.

        Raises `BundleError` where one is none, or two are of one name.
        """
        return name_readers(
            [Bundle.load(each, kind=None, trusted=self.trusted_keys) for each in self.also]
        )

    def for_reader(self, name: str, bundle: Bundle, weeks: float | None) -> ReaderOptions:
        """Return what a reader's process is told; `weeks` are those of the exam that is running."""
        newest_wins, keys = self.pace.newest_wins, self.trusted_keys
        return ReaderOptions(name, str(bundle.root), newest_wins, keys, weeks)

    def for_capture(
        self,
        bundle: Bundle,
        first_seq: int = 0,
        first_index: int = 0,
        readers: Mapping[str, Bundle] = MappingProxyType({}),
    ) -> CaptureOptions:
        """Return what a capture process is told; another goes on where the one before stopped."""
        return CaptureOptions(
            sources=self.played,
            preprocessing=bundle.manifest.preprocessing,
            pace=self.pace,
            strict=self.strict,
            mixed=self.mixed,
            limits=self.limits,
            every=self.every,
            rate_hz=self.rate_hz,
            region=self.region,
            mm_per_px=self.mm_per_px,
            show_screen=self.show_screen,
            first_seq=first_seq,
            first_index=first_index,
            readers={name: each.manifest.preprocessing for name, each in readers.items()},
        )

    def for_engine(
        self,
        bundle: Bundle,
        exam: dict[str, Any] | None = None,
        avoid: Sequence[str] = (),
        *,
        waits: bool = False,
    ) -> EngineOptions:
        """Return what an engine process is told.

        `exam` is the state to go on from, `avoid` the engines that failed in this session; it
        `waits` for a server that has answered before.
        """
        return EngineOptions(
            bundle=str(bundle.root),
            engine=self.engine,
            precision=self.precision,
            members=self.members,
            threads=self.threads,
            cam_hz=self.cam_hz,
            newest_wins=self.pace.newest_wins,
            exam=exam,
            avoid=tuple(avoid),
            student=self.student,
            trusted_keys=self.trusted_keys,
            server=None if self.server is None else self._hurry(self.server, waits),
        )

    def _hurry(self, server: Server, waits: bool) -> Server:
        """A lossless replay waits for each answer, and ends where one does not come."""
        if not self.pace.newest_wins:
            return replace(server, answer_s=LOSSLESS_ANSWER_S)
        if self.rate_hz is None:
            return replace(server, waits=waits)
        # its silence is noticed at the next question: both together within OFF_S
        left_s = max(SHORTEST_ANSWER_S, OFF_S - 1.0 / self.rate_hz)
        return replace(server, waits=waits, answer_s=min(server.answer_s, left_s))


def name_readers(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """Return bundles by the names of their readings; raises `BundleError` where two share one."""
    named: dict[str, Bundle] = {}
    for bundle in bundles:
        name = re.sub(r"[^A-Za-z0-9._-]", "-", bundle.manifest.name)[:64] or "unnamed"
        if name in named:
            raise BundleError(
                f"two bundles are named {name!r}, {named[name].root} and {bundle.root}: name one "
                "of them once, or give it another name"
            )
        named[name] = bundle
    return named
