"""Beside a scanner: a live session that a program follows, picture by picture."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame, SkipReason
from neurosono.engine.contracts.result import Result
from neurosono.engine.contracts.server import Server
from neurosono.engine.signature import choose_keys
from neurosono.results import FrameResult
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.session import Live
from neurosono.stream.live.stage import Record
from neurosono.stream.page.hub import Hub
from neurosono.stream.view.state import LATE_MS, AiState, OverlayState

MAX_WAITING = 8
"""Results that wait for a picture: more than are ever on their way at once."""

JOIN_S = 20.0
"""A session ends within seconds; whatever then still hangs ends with this process."""


@dataclass(frozen=True, eq=False)
class Moment:
    """What there is to be seen of a live session.

    `result` is there only while `ai` is on, and `picture` is the very frame that it is of; None
    where that one was passed over. Without a result nothing that the AI said before may be shown
    any more, and `reason` says why.
    """

    ai: AiState
    reason: str
    picture: DisplayFrame | None
    result: FrameResult | None
    readings: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """How each bundle beside the first stands (`ai`, `reason`), and, only while it is on, what it
    says of the exam (`exam`, `told`) and of a frame of the last half second (`frame`, `age_ms`)."""


class LiveResults(Iterator[Moment]):
    """The moments of a running session, the newest first served; `close`, or a `with`, ends it.

    It ends, with its processes, also when it is no more referred to or an exception passes. What a
    slow reader has no time for is passed over and counted in `missed`; the exam in each result has
    it all the same.
    """

    def __init__(self, options: SessionOptions, bundle: Bundle) -> None:
        self._door = door = _Door(options, bundle)
        thread = threading.Thread(target=door.run, name="live", daemon=True)
        # the thread knows the door alone, so that nobody's letting go of this is noticed
        self._end = weakref.finalize(self, _end, door, thread)
        thread.start()

    def __next__(self) -> Moment:
        """Wait for the next moment; raises what the session raised, and ends as it does."""
        return self._door.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session and its processes; every frame on its way is counted first."""
        self._end()

    @property
    def missed(self) -> int:
        """How many moments were passed over, because a newer one came before they were taken."""
        return self._door.missed

    @property
    def frames(self) -> dict[str, Any] | None:
        """Return `frames` of `exam.json`, once the session is over; None before."""
        return self._door.frames


def live(
    source: str,
    bundle: str | Path = "demo",
    *,
    every: int | None = 1,
    rate_hz: float | None = None,
    region: str | None = None,
    mm_per_px: float | None = None,
    weeks: float | None = None,
    show_screen: bool = False,
    cam_hz: float = 5.0,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
    server: Server | None = None,
    student: str | Path | None = None,
    also: Sequence[str | Path] = (),
    require_signed: bool = False,
    trusted_keys: str | Path | None = None,
) -> LiveResults:
    """Follow a scanner: an iterator over what a live session shows, for as long as it is kept.

    `source` is what `neurosono live` takes: `/dev/video0`, `udp://…`, `rtsp://…`, or a stand-in
    such as `loop:phantom:normal?seed=5`. It runs on the three processes of `neurosono live`, which
    are started again when they fail; nobody waits for a picture, and the newest wins. Nothing is
    recorded or shown but what you make of it. The rest is as in `judge`; `also` names bundles
    that read the same frames (`weeks` is the gestational age, until another exam begins), `student`
    judges every frame, and `bundle` then as many as time allows. `require_signed` and
    `trusted_keys` are as in `open_bundle`, of every bundle named.

    Raises `InputError` where source, bundle or engine can never work: at once, or from the first
    `next` where only the processes find out.
    """
    options = SessionOptions(
        source=source,
        bundle=str(bundle),
        every=None if rate_hz is not None and every == 1 else every,
        rate_hz=rate_hz,
        region=region,
        mm_per_px=mm_per_px,
        weeks=weeks,
        show_screen=show_screen,
        cam_hz=cam_hz,
        engine=engine,
        precision=precision,
        members=members,
        threads=threads,
        server=server,
        student=None if student is None else str(student),
        also=tuple(str(each) for each in also),
        trusted_keys=choose_keys(require_signed, trusted_keys),
    )
    loaded = options.load_bundle()
    options.check(loaded)
    return LiveResults(options, loaded)


def _end(door: "_Door", thread: threading.Thread) -> None:
    door.stopping.set()
    if thread is not threading.current_thread():
        thread.join(JOIN_S)


class _Door(Record):
    """Takes what a session records and shows, in its thread, and hands the newest on."""

    def __init__(self, options: SessionOptions, bundle: Bundle) -> None:
        student = options.load_student(bundle)
        self._manifest = bundle.manifest
        readers = options.load_readers()
        self._live = Live(options, bundle, Hub(), self, student=student, readers=readers)
        self._results: deque[Result] = deque()
        self._change = threading.Condition()
        self._newest: Moment | None = None
        self._said: AiState | None = None
        self._last_seq = -1
        self._over = False
        self._error: BaseException | None = None
        self.stopping = threading.Event()
        self.missed = 0
        self.frames: dict[str, Any] | None = None

    def run(self) -> None:
        """Run the session to its end."""
        error: BaseException | None = None
        try:
            self.frames = self._live.run(self.stopping.is_set).counts
        except BaseException as raised:  # noqa: BLE001 (told to whoever takes the next moment)
            error = raised
        with self._change:
            self._over, self._error = True, error
            self.missed += self._newest is not None
            self._newest = None  # what was said last is not so any more
            self._change.notify_all()

    def take(self) -> Moment:
        """Return the newest moment once there is one; raises what the session raised, once."""
        with self._change:
            self._change.wait_for(lambda: self._newest is not None or self._over)
            moment, self._newest = self._newest, None
            error, self._error = (self._error, None) if moment is None else (None, self._error)
        if moment is not None:
            return moment
        raise StopIteration if error is None else error

    def see(self, picture: DisplayFrame, state: OverlayState) -> None:
        """A picture is shown now: it may be one that a result waits for."""
        del picture, state
        self._pair()

    def record(self, result: Result) -> None:
        """Take a result, until its picture comes: as a rule that was before."""
        self._results.append(result)
        self._pair()

    def note_ai(self, ai: AiState) -> None:
        """Say how the AI stands, when that changes without a picture."""
        if ai is not self._said and ai is not AiState.ON:
            self._put(None, None)

    def _pair(self) -> None:
        """Hand on every result whose picture is there, or will not come any more."""
        viewer = self._live.viewer
        while self._results:
            seq = self._results[0].seq
            picture = viewer.recent.picture_of(seq)
            if picture is None and seq >= viewer.sampled and len(self._results) <= MAX_WAITING:
                return
            result = self._results.popleft()
            if result.seq <= self._last_seq:  # what a newer one took the place of is told late
                self.missed += 1
                continue
            self._last_seq = result.seq
            self._put(picture, result)

    def _put(self, picture: DisplayFrame | None, result: Result | None) -> None:
        viewer = self._live.viewer
        now_ns = time.monotonic_ns()
        state = viewer.state(0.0, now_ns)
        # late is what waits for an answer: with this one it is there
        is_on = viewer.off_reason is None and viewer.no_signal is None
        is_on = is_on and not viewer.standing.holds(now_ns)
        age_ms = 0.0 if result is None else (now_ns - result.captured_ns) / 1e6
        readings = self._live.describe_readings(now_ns)
        if result is not None and is_on and result.skip_reason is not SkipReason.ENGINE_OFF:
            told = Moment(AiState.ON, "", picture, FrameResult(self._manifest, result), readings)
            if age_ms > LATE_MS:
                reason = f"the engine's last answer is {age_ms / 1000:.1f} s old"
                told = Moment(AiState.OFF, reason, picture, None, readings)
        else:
            told = Moment(state.ai, state.ai_reason, picture, None, readings)
        self._said = told.ai
        with self._change:
            self.missed += self._newest is not None
            self._newest = told
            self._change.notify()
