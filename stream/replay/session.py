"""One replay: capture and engine are started, followed, shown, and ended."""

import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import (
    ERRORS_BY_NAME,
    EngineFailedError,
    InputError,
    NeurosonoError,
    ProcessFailedError,
    RunError,
    StoppedError,
)
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.engine.exam.pair import open_exam
from neurosono.stream.processes.channel import Endpoints, Inlet, await_any, open_socket
from neurosono.stream.processes.ledger import count_frames
from neurosono.stream.processes.supervisor import Supervisor, describe_exit
from neurosono.stream.processes.wire import Event, Received
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.patience import Patience
from neurosono.stream.replay.sink import Progress, Sink
from neurosono.stream.view.summary import describe_models
from neurosono.stream.view.viewer import Viewer

if TYPE_CHECKING:
    import zmq

POLL_MS = 20
PICTURES_WINDOW = 8
"""Pictures on their way to the display at once: enough that decoding and drawing overlap."""

RECORDED_EVERY = 256
"""Pictures after which capture is told which sampled frames it need not remember any more."""

STUCK_S = 60.0
"""A lossless replay waits for every answer, but for none longer than this."""


class ReplaySession:
    """Starts capture and engine, shows what they send, and ends with them."""

    def __init__(
        self,
        options: ReplayOptions,
        bundle: Bundle,
        student: Bundle | None,
        outputs: Sink,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """`student` judges beside `bundle`; `outputs` takes what comes."""
        self._options, self._outputs = options, outputs
        self._bundle, self._student = bundle, student
        self._on_progress = on_progress
        self._viewer = Viewer(bundle.manifest.labels, options.realtime)
        self._opened: Mapping[str, Any] = {}
        self._ready: Mapping[str, Any] = {}
        self._ensemble: Mapping[str, Any] = {}
        self._end: Mapping[str, Any] | None = None
        self._failure: NeurosonoError | None = None
        self._unjudged: dict[str, int] = {}
        self._heard_ns = time.monotonic_ns()
        self._latest: DisplayFrame | None = None
        self._has_news = False
        self._patience = Patience()
        self._early: deque[Result] = deque()

    def run(self, context: "zmq.Context[zmq.Socket[bytes]]", folder: Path) -> dict[str, Any]:
        """Replay to the end, with sockets in `folder`; returns what the sink made of it.

        Raises `InputError` before anything is begun, `RunError` where it could not be ended.
        """
        endpoints = Endpoints.in_folder(folder)
        capture_options, engine_options = self._options.split(self._bundle)
        with (
            open_socket(context, endpoints.results, bind=True) as results,
            open_socket(context, endpoints.display, bind=False) as pictures,
            Supervisor(endpoints) as self._children,
        ):
            self._results = Inlet(results)
            self._pictures = Inlet(pictures, PICTURES_WINDOW)
            self._children.start("engine", engine_options.__dict__)
            self._children.start("capture", capture_options.to_json())
            interrupted = False
            try:
                self._follow()
            except KeyboardInterrupt:
                interrupted = True
                # once is enough: a second Ctrl-C must not tear what is being finished
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        if interrupted and not self._outputs.shown:
            self._outputs.abort()
            raise StoppedError("stopped before the first picture: nothing was written")
        return self._conclude(interrupted)

    def _follow(self) -> None:
        """Show pictures until the capture has ended and every sampled frame is accounted for."""
        while not self._is_accounted_for():
            received = self._receive()
            if received is None:
                self._check_capture()
                self._check_engine()
                continue
            self._heard_ns = time.monotonic_ns()
            match received.message:
                case DisplayFrame() as picture:
                    self._show(picture)
                    self._pictures.give_credit()
                    if picture.index % RECORDED_EVERY == 0:
                        recorded = {"next_seq": self._outputs.ledger.next_seq}
                        self._pictures.tell(Event("recorded", recorded))
                case Frame() as unjudged:
                    self._outputs.write(self._describe_unjudged(unjudged))
                case Event(name="opened", fields=fields):
                    self._opened = fields
                    self._on_progress(Progress(0, 0, None, tuple(fields.get("told", ()))))
                    self._outputs.open(float(fields["rate_hz"]))
                case Event(name="end", fields=fields):
                    self._end = fields

    def _receive(self) -> Received | None:
        """Take in results, and return what else came, None after `POLL_MS`.

        In real time an answer does not wait for the next picture: the latest is shown anew with it.
        """
        if not self._options.realtime:
            received = self._pictures.receive(POLL_MS)
            self._hear_results()
            return received
        await_any(POLL_MS, self._results, self._pictures)
        self._hear_results()
        received = self._pictures.receive(0)
        if received is None and self._latest is not None and self._has_news:
            self._has_news = False
            state = self._viewer.state(self._latest.pts_s, time.monotonic_ns())
            self._outputs.refresh(self._latest, state)
        return received

    def _show(self, picture: DisplayFrame) -> None:
        self._latest = picture
        self._viewer.see(picture)
        if picture.seq is not None and self._options.realtime:
            self._await_soon(picture.seq)
        elif picture.seq is not None:
            self._await_result(picture.seq)
        self._has_news = False
        state = self._viewer.state(picture.pts_s, time.monotonic_ns())
        self._outputs.show(picture, state)
        exam = None if self._viewer.result is None else self._viewer.result.exam
        self._on_progress(Progress(self._viewer.decoded, self._viewer.sampled, exam))

    def _await_result(self, seq: int) -> None:
        deadline_ns = time.monotonic_ns() + int(STUCK_S * 1e9)
        while self._viewer.off_reason is None:
            self._catch_up(seq)
            if self._viewer.result is not None and self._viewer.result.seq >= seq:
                return
            if time.monotonic_ns() > deadline_ns:
                self._turn_off(EngineFailedError(f"the engine gave no answer for {STUCK_S:.0f} s"))
            self._hear_results(POLL_MS)
            self._check_engine()

    def _await_soon(self, seq: int) -> None:
        self._patience.see(seq, time.monotonic_ns())
        while self._viewer.off_reason is None:
            self._hear_results()
            known = self._viewer.result is not None and self._viewer.result.seq >= seq
            left_ms = 0 if known else self._patience.left_ms(time.monotonic_ns())
            if not left_ms:
                return
            await_any(left_ms, self._results)

    def _hear_results(self, timeout_ms: int = 0) -> None:
        while (received := self._results.receive(timeout_ms)) is not None:
            timeout_ms = 0
            match received.message:
                case Result() as result if self._viewer.off_reason is None:
                    self._outputs.write(result)
                    self._early.append(result)
                    if self._options.realtime:
                        self._patience.hear(result.seq, time.monotonic_ns())
                        self._catch_up(result.seq)
                    self._has_news = result.probabilities is not None
                case Event(name="ready", fields=fields):
                    self._ready = fields
                    self._viewer.engine = "{backend} {precision} x{members}".format(**fields)
                case Event(name="ensemble-ready" | "ensemble-failed", fields=fields):
                    self._ensemble = {**self._ensemble, **fields}
                case Event(name="failed", fields=fields):
                    self._hear_failure(fields)

    def _catch_up(self, seq: int | None = None) -> None:
        """Show what was said up to frame `seq`, None: all of it.

        A lossless replay shows no picture with the answer to a later one that came early: how early
        depends on the host, and two replays would not look the same.
        """
        while self._early and (seq is None or self._early[0].seq <= seq):
            self._viewer.hear(self._early.popleft())

    def _hear_failure(self, fields: Mapping[str, Any]) -> None:
        error = ERRORS_BY_NAME.get(fields["error"], RunError)(fields["message"])
        if isinstance(error, InputError) or fields["role"] == "capture":
            raise error
        self._turn_off(error)

    def _check_engine(self) -> None:
        code = self._children.exit_code("engine")
        if code is None or self._viewer.off_reason is not None:
            return
        self._hear_results(POLL_MS)  # what it said before it ended comes first
        if self._viewer.off_reason is None and not self._is_accounted_for():
            self._turn_off(EngineFailedError(f"the engine process died ({describe_exit(code)})"))

    def _check_capture(self) -> None:
        silent_s = (time.monotonic_ns() - self._heard_ns) / 1e9
        if silent_s > STUCK_S and not self._options.realtime and self._end is None:
            self._children.kill("capture")
        code = self._children.exit_code("capture")
        if code is None or self._end is not None:
            return
        self._hear_results(POLL_MS)
        received = self._pictures.receive(POLL_MS)
        if received is None:
            self._failure = ProcessFailedError(f"the capture process died ({describe_exit(code)})")
            self._end = {"sampled": self._outputs.ledger.recorded}
        elif isinstance(received.message, DisplayFrame):
            self._show(received.message)
        elif isinstance(received.message, Event) and received.message.name == "end":
            self._end = received.message.fields

    def _turn_off(self, error: NeurosonoError) -> None:
        self._failure = error
        self._catch_up()
        self._viewer.turn_off(str(error))
        self._children.kill("engine")
        self._pictures.tell(Event("engine-off", self._outputs.ledger.describe()))

    def _is_accounted_for(self) -> bool:
        return self._end is not None and self._outputs.ledger.recorded >= int(self._end["sampled"])

    def _describe_unjudged(self, frame: Frame) -> Result:
        """Return the result of a frame that no engine was there to judge, and count it."""
        reason = frame.skip_reason or SkipReason.ENGINE_OFF
        self._unjudged[reason] = self._unjudged.get(reason, 0) + 1
        exam = self._viewer.result.exam if self._viewer.result else self._empty_exam()
        return Result.of(frame, exam, skip_reason=reason, stage_ms=frame.stage_ms)

    def _empty_exam(self) -> ExamSnapshot:
        return open_exam(self._bundle, self._student).snapshot()

    def _conclude(self, interrupted: bool) -> dict[str, Any]:
        self._catch_up()
        exam = self._empty_exam() if self._viewer.result is None else self._viewer.result.exam
        skipped = dict(exam.skipped)
        for reason, count in self._unjudged.items():
            skipped[reason] = skipped.get(reason, 0) + count
        failure = self._failure
        broken = (self._end or {}).get("error")
        if interrupted:
            failure = StoppedError(
                f"stopped after {self._outputs.shown} pictures: what was done up to there is kept"
            )
        elif failure is None and broken is not None:
            failure = RunError(broken)
        counted, adds_up = count_frames(
            self._end or {}, self._viewer.decoded, self._outputs.shown, exam.used, skipped
        )
        if not interrupted and not adds_up:
            failure = failure or RunError(f"the frames do not add up: {counted}")
        record = self._outputs.finish(
            replace(exam, skipped=skipped),
            {
                "source": self._opened.get("source"),
                "complete": failure is None,
                "error": None if failure is None else str(failure),
                "broken_at_frame": (self._end or {}).get("frame"),
                "left_out": dict(self._opened.get("left_out", {})),
                "repaired_timestamps": (self._end or {}).get("repaired_timestamps"),
                **describe_models(self._bundle, self._student),
                "engine": dict(self._ready)
                | ({} if self._student is None else {"ensemble": dict(self._ensemble)}),
            },
            counted,
        )
        if failure is not None:
            raise failure
        return record
