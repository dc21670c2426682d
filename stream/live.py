"""Beside the scanner: the running exam of a live source, watched over, and shown to viewers.

This is the display process. It starts the capture and the engine process, notices when one of them
dies, hangs or falls behind, says so on the screen, and starts it again where it left off.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from engine.bundle import Bundle
from engine.contracts.errors import ERRORS_BY_NAME, InputError, RunError
from engine.contracts.frame import DisplayFrame, Frame, SkipReason
from engine.contracts.result import Result
from engine.exam import Exam
from stream.channel import (
    Endpoints,
    Inlet,
    make_socket_folder,
    open_socket,
    remove_socket_folder,
)
from stream.desk import Desk
from stream.heatmap import paint_heatmap
from stream.highlights import Highlights
from stream.ledger import Ledger
from stream.live_options import SessionOptions
from stream.stage import Ended, Record, Stage
from stream.status import describe_status
from stream.supervisor import Supervisor
from stream.viewer import Viewer
from stream.watch import MAX_RESTARTS, Action, Patience, Watch
from stream.wire import Event

POLL_MS = 10
STATUS_EVERY_NS = 100_000_000
"""A viewer blanks everything after 500 ms without a word: we speak five times as often."""
FIRST_PICTURE_S = 3.0
NO_SIGNAL_AFTER_S = 0.8
"""Without a picture for this long the screen says so (rule: 1 s); a start takes longer."""
PATIENCE = {"engine": Patience(quiet_s=2.0), "capture": Patience(quiet_s=5.0)}
SEQ_MARGIN = 1000
"""Another capture process numbers its frames from here on: far above any that are on their way."""


def run_live(
    options: SessionOptions,
    stage: Stage,
    record: Record,
    stopped: Callable[[], bool],
    exam: Exam | None = None,
) -> Ended:
    """Run a live session until `stopped`; returns the exam as it then stands.

    `exam` is one to go on with: its session was killed, and its journal gave it back.
    Raises `InputError` where source, bundle or engine cannot be used at all.
    """
    bundle = Bundle.load(options.bundle)
    folder = make_socket_folder()
    try:
        with zmq.Context() as context:
            return Live(options, bundle, stage, record, exam).run(context, folder, stopped)
    finally:
        remove_socket_folder(folder)


class Live:
    """One live session."""

    def __init__(
        self,
        options: SessionOptions,
        bundle: Bundle,
        stage: Stage,
        record: Record,
        exam: Exam | None,
    ) -> None:
        self._options, self._bundle = options, bundle
        self._stage, self._record = stage, record
        self._labels = bundle.manifest.labels
        self._viewer = Viewer(self._labels, realtime=True)
        self._watches = {role: Watch(patience) for role, patience in PATIENCE.items()}
        self._ledger = Ledger()
        self._counts: dict[str, Any] = {}
        self._engine: dict[str, Any] = {}
        self._desk = Desk(stage, record, self.begin_exam, blind=options.second_read)
        self._picture_ns = time.monotonic_ns()
        self._said_ns = 0
        self._begin_exam(exam)

    def run(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        folder: Path,
        stopped: Callable[[], bool],
    ) -> Ended:
        """Follow the source until `stopped`."""
        endpoints = Endpoints.in_folder(folder)
        with (
            open_socket(context, endpoints.results, bind=True) as results,
            open_socket(context, endpoints.display, bind=False) as pictures,
            Supervisor(endpoints) as self._children,
        ):
            self._results, self._pictures = Inlet(results), Inlet(pictures, window=1)
            self._start("engine")
            self._start("capture")
            while not stopped():
                self._hear_results()
                self._hear_pictures()
                for command in self._stage.commands():
                    self._desk.obey(command)
                now_ns = time.monotonic_ns()
                self._judge_signal(now_ns)
                for role in self._watches:
                    self._watch(role, now_ns)
                if now_ns - self._said_ns >= STATUS_EVERY_NS:
                    self._said_ns = now_ns
                    self._stage.publish_status(self._describe(self._last_pts_s(), now_ns))
        return Ended(self._exam, self._count(), dict(self._engine))

    def begin_exam(self) -> None:
        """Begin another exam, in its place among the frames."""
        self._pictures.tell(Event("new-exam", {}))

    def _begin_exam(self, exam: Exam | None = None) -> None:
        # kept here result by result, so that no process takes it along when it dies
        self._exam = exam or Exam(self._labels, self._bundle.calibration)
        self._highlights = Highlights(self._labels)
        self._viewer.begin_exam()
        self._desk.open_exam(self._labels)

    def _start(self, role: str) -> None:
        now_ns = time.monotonic_ns()
        self._watches[role].start(now_ns)
        if role == "engine":
            told = self._options.for_engine(self._bundle, self._exam.to_json())
        else:
            first_seq = self._ledger.next_seq + (SEQ_MARGIN if self._viewer.decoded else 0)
            self._ledger.begin_at(first_seq)
            told = self._options.for_capture(self._bundle, first_seq, self._viewer.decoded)
        self._children.start("live-capture" if role == "capture" else role, told)

    def _hear_pictures(self) -> None:
        received = self._pictures.receive(POLL_MS)
        if received is None:
            return
        now_ns = time.monotonic_ns()
        self._watches["capture"].hear(now_ns)
        match received.message:
            case DisplayFrame() as picture:
                self._pictures.give_credit()
                self._show(picture)
            case Frame() as unjudged:
                self._take(self._describe_unjudged(unjudged))
            case Event(name="alive", fields=fields):
                self._counts = fields
            case Event(name="hello"):
                self._pictures.begin_again()
            case Event(name=name, fields=fields):
                self._record.event(name, fields)

    def _show(self, picture: DisplayFrame) -> None:
        now_ns = time.monotonic_ns()
        self._picture_ns = now_ns
        if self._viewer.no_signal is not None:
            self._viewer.no_signal = None
            self._record.state("signal", "on")
        self._viewer.see(picture)
        self._desk.see(picture)
        self._said_ns = now_ns
        status = self._describe(picture.pts_s, now_ns)
        age_ms = (now_ns - picture.captured_ns) / 1e6
        self._stage.publish(picture.pixels, {**status, "index": picture.index, "age_ms": age_ms})

    def _hear_results(self) -> None:
        while (received := self._results.receive(0)) is not None:
            self._watches["engine"].hear(time.monotonic_ns())
            match received.message:
                case Result() as result if self._viewer.off_reason is None:
                    # a dead engine's last word may come late: its frame counts as unjudged by then
                    self._take(result)
                case Event(name="ready", fields=fields):
                    self._engine = fields
                    self._viewer.turn_on("{backend} {precision} x{members}".format(**fields))
                    self._pictures.tell(Event("engine-on"))
                    self._record.event("ready", fields)
                case Event(name="exam-begun"):
                    self._record.next_exam(self._count())
                    self._begin_exam()
                case Event(name="failed", fields=fields):
                    self._hear_failure(fields)

    def _hear_failure(self, fields: Mapping[str, Any]) -> None:
        error = ERRORS_BY_NAME.get(fields["error"], RunError)(fields["message"])
        if isinstance(error, InputError) and not self._viewer.decoded:
            raise error
        self._record.event("failed", {"role": fields["role"], "error": fields["error"]})

    def _take(self, result: Result) -> None:
        """Enter a result once; the exam here is the engine's own, step by step."""
        if not self._ledger.add(result.seq):
            return
        self._record.record(result)
        if result.skip_reason is not None:
            self._exam.skip(result.skip_reason)
        elif result.member_probabilities is not None:
            self._exam.update(result.member_probabilities)
        own = self._viewer.own_region(result.seq)
        before = self._viewer.heatmap
        if result.skip_reason != SkipReason.ENGINE_OFF:
            self._viewer.hear(result)
        self._publish_heatmap(before, result.captured_ns)
        self._desk.judge(result, own)
        if own is not None and (kept := self._highlights.offer(result, own)) is not None:
            about = {"seq": kept.seq, "pts_s": kept.pts_s, "evidence": round(kept.evidence, 4)}
            self._stage.publish_evidence(kept.label, kept.pixels, about)

    def _publish_heatmap(self, before: object, captured_ns: int) -> None:
        heatmap = self._viewer.heatmap
        if heatmap is None or heatmap is before:
            return
        height, width = heatmap.pixels.shape[:2]
        painted = paint_heatmap(heatmap, (height, width), self._bundle.manifest.preprocessing)
        age_ms = (time.monotonic_ns() - captured_ns) / 1e6
        about = {"label": heatmap.label, "seq": heatmap.seq, "age_ms": age_ms}
        self._stage.publish_heatmap(painted, about)

    def _describe_unjudged(self, frame: Frame) -> Result:
        reason = frame.skip_reason or SkipReason.ENGINE_OFF
        return Result(
            *(frame.stream_id, frame.seq, frame.captured_ns, frame.pts_s),
            *(self._exam.snapshot(), reason),
            stage_ms=frame.stage_ms,
        )

    def _judge_signal(self, now_ns: int) -> None:
        if self._viewer.no_signal is not None:
            return
        limit_s = NO_SIGNAL_AFTER_S if self._viewer.decoded else FIRST_PICTURE_S
        if now_ns - self._picture_ns > limit_s * 1e9:
            self._viewer.no_signal = "no picture comes from the source"
            self._record.state("signal", "no-signal")

    def _watch(self, role: str, now_ns: int) -> None:
        name = "live-capture" if role == "capture" else role
        action = self._watches[role].judge(now_ns, running=self._children.runs(name))
        if role == "engine" and not self._children.runs(name):
            self._turn_off("the engine process died; it is being started again")
        if action is Action.GIVE_UP:
            self._record.event("gave-up", {"role": role, "count": MAX_RESTARTS})
            words = f"the {role} failed five times in a minute: start neurosono again"
            if role == "engine":
                self._turn_off(words, final=True)
            else:
                self._viewer.no_signal = words
        if action is not Action.RESTART:
            return
        self._children.kill(name)
        self._hear_results()  # what it said before it ended counts
        if role == "engine":
            self._turn_off("the engine process is being started again")
        self._record.event("restarted", {"role": role, "count": self._watches[role].restarts})
        self._start(role)

    def _turn_off(self, reason: str, *, final: bool = False) -> None:
        if self._viewer.off_reason is not None and not final:
            return
        self._hear_results()
        self._viewer.turn_off(reason)
        self._pictures.tell(Event("engine-off", self._ledger.describe()))

    def _last_pts_s(self) -> float:
        return 0.0 if self._viewer.result is None else self._viewer.result.pts_s

    def _describe(self, pts_s: float, now_ns: int) -> dict[str, Any]:
        state = self._viewer.state(pts_s, now_ns)
        self._record.note_ai(state.ai)
        about = {
            "exam": self._record.exam_id,
            "frames": self._count(),
            "ended": self._desk.ended,
            "mode": "second-read" if self._options.second_read else "concurrent",
            "seq": self._ledger.next_seq,
            "source": dict(self._counts),
        }
        return describe_status(self._labels, state, self._exam.snapshot(), about)

    def _count(self) -> dict[str, Any]:
        exam = self._exam.snapshot()
        return {
            "decoded": self._viewer.decoded,
            "displayed": self._viewer.displayed,
            "dropped": self._viewer.decoded - self._viewer.displayed,
            "sampled": exam.used + sum(exam.skipped.values()),
            "used": exam.used,
            "skipped": exam.skipped,
        }
