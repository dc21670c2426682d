"""One reader as the display process knows it: how it stands, its frames, its exam."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.frame import DisplayFrame, SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import find_kind
from neurosono.engine.kinds.told import Told
from neurosono.stream.processes.ledger import Ledger
from neurosono.stream.processes.wire import Event, Message
from neurosono.stream.view.reading import AiState, ShownReading
from neurosono.stream.view.standing import Standing

if TYPE_CHECKING:
    from neurosono.engine.exam.accumulator import Accumulator
    from neurosono.stream.session.options import Judging


MOST_AHEAD = 256
"""Readings kept for an exam that the first engine has not begun: eight seconds at 30 Hz."""


@dataclass
class Beside:
    """A bundle that reads beside the first; its exam is kept here, so no process takes it along."""

    name: str
    bundle: Bundle
    standing: Standing
    ledger: Ledger = field(default_factory=Ledger)
    weeks: float | None = None
    """The gestational age that was told of the exam that is running."""
    engine: dict[str, Any] = field(default_factory=dict)
    """What reads, as it says itself; empty until it is ready."""
    latest: ReaderResult | None = None
    """The last frame of which it said something."""
    pixels: Pixels | None = None
    """That frame's region, where it is remembered."""
    exam_seq: int = 0
    """The first frame of the exam that is running."""
    begun_seqs: deque[int] = field(default_factory=deque)
    """The first frame of each exam that it has begun and the first engine has not."""
    ahead: deque[ReaderResult] = field(default_factory=deque)
    """What it said of those exams' frames meanwhile."""
    _stands: tuple[Mapping[str, Any], Told] | None = None
    """How the exam stands, and in words: drawn up once for all who ask until something is added."""

    def __post_init__(self) -> None:
        self._kind = find_kind(self.bundle)
        self.exam: Accumulator[ReaderResult] = self._kind.begin(self.bundle)

    @property
    def role(self) -> str:
        """The role of its process."""
        return f"reader:{self.name}"

    def see(self, picture: DisplayFrame) -> None:
        """A picture is shown: if it was sampled its reading is due, unless it has come."""
        if picture.seq is None:
            self.standing.outlast(picture.captured_ns)
        elif not self.ledger.has(picture.seq):
            self.standing.expect(picture.seq, picture.captured_ns)

    def run_ahead(self, first_seq: int) -> None:
        """It has come to another exam's first frame; the first engine may be behind it."""
        if first_seq > self.exam_seq:
            self.begun_seqs.append(first_seq)

    def is_ahead(self, result: ReaderResult) -> bool:
        """Whether a reading is of an exam that the first engine has not begun yet."""
        return bool(self.begun_seqs) and result.seq >= self.begun_seqs[0]

    def hold(self, result: ReaderResult) -> ReaderResult | None:
        """Keep a reading for its own exam; returns one that is passed over, where many wait."""
        self.ahead.append(result)
        return pass_over(self.ahead.popleft()) if len(self.ahead) > MOST_AHEAD else None

    def release(self, first_seq: int) -> list[ReaderResult]:
        """Return what waited for the exam that begins with `first_seq`."""
        self.exam_seq = first_seq
        while self.begun_seqs and self.begun_seqs[0] <= first_seq:
            self.begun_seqs.popleft()
        held, self.ahead = self.ahead, deque()
        self.ahead.extend(each for each in held if self.is_ahead(each))
        return [each for each in held if not self.is_ahead(each)]

    def give_up(self) -> list[ReaderResult]:
        """Return what waited for exams that will not begin, as passed over."""
        held, self.ahead = self.ahead, deque()
        self.begun_seqs.clear()
        return [pass_over(each) for each in held]

    def hear(self, result: ReaderResult, own: Pixels | None = None) -> object:
        """Add a reading to the exam; returns what the exam makes of it.

        `own` is the region of the frame that it is of, where that is remembered.
        """
        self.standing.answer(result.seq, result.captured_ns, result.skip_reason)
        if result.used:
            self.latest, self.pixels = result, own
        self._stands = None
        return self.exam.update(result)

    def show(self, now_ns: int) -> ShownReading:
        """Return what may be shown of it now: nothing unless it is on."""
        ai, reason = self.standing.judge(now_ns)
        if ai is not AiState.ON:
            return ShownReading(self.bundle.manifest.kind, ai, reason)
        if self._stands is None:
            exam = self.exam.snapshot()
            self._stands = exam, self._kind.tell(exam)
        exam, told = self._stands
        return ShownReading(
            self.bundle.manifest.kind,
            ai,
            "",
            self.latest,
            exam,
            self.engine,
            self.pixels,
            told,
        )

    def begin_exam(self) -> None:
        """Begin another exam."""
        self.exam = self._kind.begin(self.bundle)
        self.latest = self.pixels = self._stands = None
        self.standing.forget()

    def take_up(self, found: dict[str, Any]) -> None:
        """Go on where the exam's `to_json` was said; raises `InputError` where it is not whole."""
        self._stands = None
        self.exam.take_up(found)

    def turn_on(self, fields: Mapping[str, Any]) -> None:
        """Its engine is ready (again)."""
        self.engine = {name: each for name, each in fields.items() if name != "reader"}
        self.standing.turn_on("{backend} {precision} x{members}".format(**fields))

    def describe(self) -> dict[str, Any]:
        """Return what `exam.json` says of it: its model, and the exam in its kind's own words."""
        manifest = self.bundle.manifest
        return {
            "kind": manifest.kind,
            "bundle": {"name": manifest.name, "sha256": manifest.digest},
            "engine": dict(self.engine),
            **self.exam.snapshot(),
        }


def name_speaker(message: Message, readers: Collection[str]) -> str:
    """Return whose word it is: the engine's, or that of one of the session's readers."""
    name: object = None
    if isinstance(message, ReaderResult):
        name = message.reader
    elif isinstance(message, Event):
        name = message.fields.get("reader")
    return f"reader:{name}" if isinstance(name, str) and name in readers else "engine"


def pass_over(result: ReaderResult) -> ReaderResult:
    """Return a reading as one that never was: counted, and in no exam."""
    reason = result.skip_reason or SkipReason.SUPERSEDED
    return replace(result, said=None, skip_reason=reason)


def stand_beside(bundles: Mapping[str, Bundle], asked: "Judging") -> dict[str, Beside]:
    """Return readers as they stand before anything is begun."""
    newest_wins, weeks = asked.pace.newest_wins, asked.weeks
    return {
        name: Beside(name, bundle, Standing(newest_wins), weeks=weeks)
        for name, bundle in bundles.items()
    }
