"""A lossless replay: every picture with its own answer, the same every time."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace as replace_state
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import (
    EngineFailedError,
    InputError,
    NeurosonoError,
    ProcessFailedError,
)
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.engine.exam.pair import open_exam
from neurosono.stream.processes.supervisor import describe_exit
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.sink import Progress, Sink
from neurosono.stream.session.beside import Beside
from neurosono.stream.session.session import Session

POLL_MS = 20
PICTURES_WINDOW = 8
"""Pictures on their way to the display at once: enough that decoding and drawing overlap."""

STUCK_S = 60.0
"""A lossless replay waits for every answer, but for none longer than this."""


class LosslessSession(Session):
    """Shows each picture with its answer. An engine that fails stays off, and so does capture."""

    def __init__(
        self,
        options: ReplayOptions,
        bundle: Bundle,
        student: Bundle | None,
        outputs: Sink,
        on_progress: Callable[[Progress], None],
        readers: Mapping[str, Bundle] = MappingProxyType({}),
    ) -> None:
        """`student` judges beside `bundle`, `readers` read; `outputs` takes what comes."""
        super().__init__(options, bundle, student, readers)
        self._outputs, self._on_progress = outputs, on_progress
        self._unjudged: Counter[str] = Counter()
        self._heard_ns = time.monotonic_ns()
        self._early: deque[Result] = deque()
        self._early_readings: dict[str, deque[ReaderResult]] = {name: deque() for name in readers}

    def run(self) -> ExamSnapshot:
        """Replay to the end, or to a Ctrl-C; returns the exam as it then stands.

        Raises `InputError` where it cannot be begun.
        """
        with self.open(PICTURES_WINDOW):
            self.start_engine()
            for reader in self.readers.values():
                self.start_reader(reader)
            self.start_capture()
            self.follow(self._show_all)
        self._catch_up()
        for reader in self.readers.values():
            self._catch_up_reader(reader)
        exam = self.snapshot()
        return replace(exam, skipped=dict(Counter(exam.skipped) + self._unjudged))

    def _show_all(self) -> None:
        """Show pictures until the capture has ended and every sampled frame is accounted for."""
        while not (self.is_accounted_for() or self.interrupted):
            came = self.hear_picture(POLL_MS)
            self.hear_results()
            if not came:
                self._check_capture()
                self._check_engine()
                for reader in self.readers.values():
                    self._check_reader(reader)

    def show(self, picture: DisplayFrame) -> None:
        """Show a picture once its own answer is there."""
        self.viewer.see(picture)
        if picture.seq is not None:
            self._await_result(picture.seq)
            for reader in self.readers.values():
                self._await_reading(reader, picture.seq)
        now_ns = time.monotonic_ns()
        state = self.viewer.state(picture.pts_s, now_ns)
        readings = {name: reader.show(now_ns) for name, reader in self.readers.items()}
        self._outputs.show(picture, replace_state(state, readings=readings))
        exam = None if self.viewer.result is None else self.viewer.result.exam
        self._on_progress(Progress(self.viewer.decoded, self.viewer.sampled, exam))

    def take(self, result: Result, *, judged: bool) -> None:
        """Write a result; it is shown when its picture is."""
        self._outputs.write(result)
        if judged:
            self._early.append(result)
        else:
            self._unjudged[str(result.skip_reason)] += 1

    def take_reading(self, reader: Beside, result: ReaderResult) -> None:
        """Write a reading; it is shown when its picture is."""
        self._outputs.read(result)
        self._early_readings[reader.name].append(result)

    def say(self, name: str, fields: Mapping[str, Any]) -> None:
        """Begin to write once the source is open."""
        if name == "opened":
            self._on_progress(Progress(0, 0, None, tuple(fields["told"])))
            self._outputs.open(float(fields["rate_hz"]), self.children.pids())

    def note(self, role: str) -> None:
        """A process has said something, so it lives."""
        if role == "capture":
            self._heard_ns = time.monotonic_ns()

    def hear_failure(self, error: NeurosonoError, role: str) -> None:
        """Go on without an engine that failed; raise what says that nothing could be begun."""
        if isinstance(error, InputError) or role == "capture":
            raise error
        reader = self.readers.get(role.partition(":")[2])
        if reader is None:
            self._fail(error)
        else:
            self._fail_reader(reader, f"failed: {error}")

    def snapshot(self) -> ExamSnapshot:
        """Return the exam as the engine said last."""
        if self.viewer.result is not None:
            return self.viewer.result.exam
        return open_exam(self.bundle, self.student).snapshot()

    def _await_result(self, seq: int) -> None:
        deadline_ns = time.monotonic_ns() + int(STUCK_S * 1e9)
        while self.viewer.off_reason is None and not self.interrupted:
            self._catch_up(seq)
            if self.viewer.result is not None and self.viewer.result.seq >= seq:
                return
            if time.monotonic_ns() > deadline_ns:
                self._fail(EngineFailedError(f"the engine gave no answer for {STUCK_S:.0f} s"))
            self.hear_results(POLL_MS)
            self._check_engine()

    def _await_reading(self, reader: Beside, seq: int) -> None:
        deadline_ns = time.monotonic_ns() + int(STUCK_S * 1e9)
        while reader.standing.off_reason is None and not self.interrupted:
            if reader.ledger.has(seq):
                break
            if time.monotonic_ns() > deadline_ns:
                self._fail_reader(reader, f"gave no answer for {STUCK_S:.0f} s")
            self.hear_results(POLL_MS)
            self._check_reader(reader)
        self._catch_up_reader(reader, seq)

    def _catch_up_reader(self, reader: Beside, seq: int | None = None) -> None:
        early = self._early_readings[reader.name]
        while early and (seq is None or early[0].seq <= seq):
            result = early.popleft()
            reader.hear(result, self.viewer.recent.region_of(result.seq))

    def _catch_up(self, seq: int | None = None) -> None:
        """Show what was said up to frame `seq`, None: all of it.

        No picture is shown with the answer to a later one that came early: how early depends on the
        host, and two replays would not look the same.
        """
        while self._early and (seq is None or self._early[0].seq <= seq):
            self.viewer.hear(self._early.popleft())

    def _check_engine(self) -> None:
        if "engine" in self.distrusted:
            self._fail(EngineFailedError(self.dismiss("engine")))
        code = self.children.exit_code("engine")
        if code is None or self.viewer.off_reason is not None:
            return
        self.hear_results(POLL_MS)  # what it said before it ended comes first
        if self.viewer.off_reason is None and not self.is_accounted_for():
            self._fail(EngineFailedError(f"the engine process died ({describe_exit(code)})"))

    def _check_reader(self, reader: Beside) -> None:
        if reader.role in self.distrusted:
            self._fail_reader(reader, f"failed: {self.dismiss(reader.role)}")
        code = self.children.exit_code(reader.role)
        if code is None or reader.standing.off_reason is not None:
            return
        self.hear_results(POLL_MS)  # what it said before it ended comes first
        if reader.standing.off_reason is None and not self.is_accounted_for():
            self._fail_reader(reader, f"died ({describe_exit(code)})")

    def _fail_reader(self, reader: Beside, how: str) -> None:
        """Go on without a reader; nothing that it left is guessed."""
        reason = f"the process that reads {reader.name} {how}"
        self.failure = self.failure or EngineFailedError(reason)
        self._catch_up_reader(reader)
        self.turn_off_reader(reader, reason)
        self.children.kill(reader.role)

    def _check_capture(self) -> None:
        if time.monotonic_ns() - self._heard_ns > STUCK_S * 1e9 and not self.ended:
            self.children.kill("capture")
        if "capture" in self.distrusted:
            self.failure = ProcessFailedError(self.dismiss("capture"))
            self.lose_capture()
        code = self.children.exit_code("capture")
        if code is None or self.ended:
            return
        self.hear_results(POLL_MS)
        if not self.hear_picture(POLL_MS):
            self.failure = ProcessFailedError(f"the capture process died ({describe_exit(code)})")
            self.lose_capture()

    def _fail(self, error: NeurosonoError) -> None:
        self.failure = error
        self._catch_up()
        self.turn_off(str(error))
        self.children.kill("engine")
