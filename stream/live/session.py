"""Beside the scanner: the running exam of a live source, watched over, and shown to viewers.

This is the display process. It starts the capture and the engine process, notices when one of them
dies, hangs or falls behind, says so on the screen, and starts it again where it left off.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import zmq

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import ERRORS_BY_NAME, InputError, RunError
from neurosono.engine.contracts.frame import DisplayFrame, Frame
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam
from neurosono.stream.live.exam import LiveExam
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.stage import Ended, Record, Stage
from neurosono.stream.processes.channel import (
    Endpoints,
    Inlet,
    await_any,
    make_socket_folder,
    open_socket,
    remove_socket_folder,
)
from neurosono.stream.processes.supervisor import Supervisor
from neurosono.stream.processes.watch import MAX_RESTARTS, Action, Patience, Watch
from neurosono.stream.processes.wire import Event

POLL_MS = 10
STATUS_EVERY_NS = 100_000_000
"""A viewer blanks everything after 500 ms without a word: we speak five times as often."""
FIRST_PICTURE_S = 3.0
NO_SIGNAL_AFTER_S = 0.8
"""Without a picture for this long the screen says so (rule: 1 s); a start takes longer."""
PATIENCE = {"engine": Patience(quiet_s=2.0), "capture": Patience(quiet_s=5.0)}
STALLED_NS = 1_000_000_000
"""One step takes milliseconds; after a second we were stopped, or the machine slept."""
FINISH_NS = 2_000_000_000
"""How long the frames on their way may take to be accounted for once the session is to end."""
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
    cv2.setNumThreads(1)  # the other cores belong to decoding and the network
    bundle = Bundle.load(options.bundle)
    student = options.load_student(bundle)
    folder = make_socket_folder()
    try:
        with zmq.Context() as context:
            live = Live(options, bundle, stage, record, exam, student)
            return live.run(context, folder, stopped)
    finally:
        remove_socket_folder(folder)


class Live:
    """One live session: its processes, and the words between them."""

    def __init__(
        self,
        options: SessionOptions,
        bundle: Bundle,
        stage: Stage,
        record: Record,
        exam: Exam | None,
        student: Bundle | None = None,
    ) -> None:
        self._options, self._bundle = options, bundle
        self._stage, self._record = stage, record
        self._watches = {role: Watch(patience) for role, patience in PATIENCE.items()}
        self._exam = LiveExam(
            *(bundle, stage, record, self.begin_exam, exam),
            second_read=options.second_read,
            student=student,
        )
        self._viewer = self._exam.viewer
        self._engine: dict[str, Any] = {}
        self._failed: set[str] = set()
        self._captured: list[Mapping[str, Any]] = []
        self._ended = False
        self._picture_ns = time.monotonic_ns()
        self._said_ns = 0
        self._stepped_ns = time.monotonic_ns()

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
                self._step()
            measured = self._finish()
        return Ended(self._exam.exam, self._exam.count(), dict(self._engine), measured)

    def begin_exam(self) -> None:
        """Begin another exam, in its place among the frames."""
        self._pictures.tell(Event("new-exam", {}))

    def _step(self) -> None:
        await_any(POLL_MS, self._results, self._pictures)
        self._hear_results()
        self._hear_pictures()
        for command in self._stage.commands():
            self._exam.desk.obey(command)
        now_ns = time.monotonic_ns()
        if now_ns - self._stepped_ns > STALLED_NS:
            self._excuse(now_ns)
        self._stepped_ns = now_ns
        self._judge_signal(now_ns)
        for role in self._watches:
            self._watch(role, now_ns)
        if self._exam.has_news or now_ns - self._said_ns >= STATUS_EVERY_NS:
            self._said_ns = now_ns
            self._exam.say(now_ns)
        if self._engine:
            self._exam.measures.look(self._children.pids(), now_ns)

    def _excuse(self, now_ns: int) -> None:
        """We ourselves stood still: that nobody was heard meanwhile is not the others' fault."""
        self._picture_ns = now_ns
        for watch in self._watches.values():
            watch.excuse(now_ns)

    def _finish(self) -> dict[str, Any]:
        """Let what is on its way arrive, say the last word, and return what was measured."""
        self._exam.measures.weigh(self._children.pids(), time.monotonic_ns())
        if not self._engine:
            self._turn_off("the session ended before the engine was ready")
        self._pictures.tell(Event("finish"))
        deadline_ns = time.monotonic_ns() + FINISH_NS
        while time.monotonic_ns() < deadline_ns and not self._is_accounted_for():
            await_any(POLL_MS, self._results, self._pictures)
            self._hear_results()
            self._hear_pictures()
        now_ns = time.monotonic_ns()
        self._exam.end(now_ns)
        measured = self._exam.measures.finish(now_ns)
        said = self._viewer.source_said
        return {**measured, "accounts": self._draw_up_accounts(), "source_said": said}

    def _is_accounted_for(self) -> bool:
        return self._ended and self._exam.ledger.recorded >= self._sum_captured("sampled")

    def _sum_captured(self, what: str) -> int:
        return sum(int(each.get(what, 0)) for each in self._captured)

    def _draw_up_accounts(self) -> dict[str, int]:
        """Return the capture processes' own counts of the whole session, beside ours.

        `unaccounted` are sampled frames of which nobody said what became of them: those that a
        killed process took along, and those still on their way after `FINISH_NS`.
        """
        names = ("received", "overrun", "decoded", "displayed", "dropped", "sampled")
        counted = {name: self._sum_captured(name) for name in names}
        recorded = self._exam.ledger.recorded
        return {
            **{f"capture_{name}": count for name, count in counted.items()},
            "shown": self._viewer.displayed,
            "recorded": recorded,
            "unaccounted": counted["sampled"] - recorded,
        }

    def _start(self, role: str) -> None:
        now_ns = time.monotonic_ns()
        self._watches[role].start(now_ns)
        if role == "engine":
            failed = self._engine.get("backend", "openvino")
            if failed != "openvino":  # which is the last resort, and is tried again
                self._failed.add(failed)
            told = self._options.for_engine(
                self._bundle, self._exam.exam.to_json(), sorted(self._failed)
            )
        else:
            ledger, decoded = self._exam.ledger, self._viewer.decoded
            first_seq = ledger.next_seq + (SEQ_MARGIN if decoded else 0)
            ledger.begin_at(first_seq)
            told = self._options.for_capture(self._bundle, first_seq, decoded)
            self._captured.append({})
        self._children.start("live-capture" if role == "capture" else role, told)

    def _hear_pictures(self) -> None:
        received = self._pictures.receive(0)
        if received is None:
            return
        self._watches["capture"].hear(time.monotonic_ns())
        match received.message:
            case DisplayFrame() as picture:
                self._pictures.give_credit()
                self._show(picture)
            case Frame() as unjudged:
                self._exam.take_unjudged(unjudged)
            case Event(name="alive" | "end" as name, fields=fields):
                self._captured[-1] = self._exam.source = {**self._captured[-1], **fields}
                self._ended = name == "end"
                self._pictures.tell(Event("recorded", {"next_seq": self._exam.ledger.next_seq}))
            case Event(name="hello"):
                self._pictures.begin_again()
            case Event(name=name, fields=fields):
                self._viewer.note_source(name, fields)
                self._record.event(name, fields)

    def _show(self, picture: DisplayFrame) -> None:
        self._picture_ns = self._said_ns = time.monotonic_ns()
        if self._viewer.no_signal is not None:
            self._viewer.no_signal = None
            self._record.state("signal", "on")
        self._exam.show(picture)

    def _hear_results(self) -> None:
        while (received := self._results.receive(0)) is not None:
            self._watches["engine"].hear(time.monotonic_ns())
            match received.message:
                case Result() as result if self._viewer.off_reason is None:
                    # a dead engine's last word may come late: its frame counts as unjudged by then
                    self._exam.take(result)
                case Event(name="ready", fields=fields):
                    self._engine = fields
                    self._viewer.turn_on("{backend} {precision} x{members}".format(**fields))
                    self._pictures.tell(Event("engine-on"))
                    self._record.event("ready", fields)
                case Event(name="ensemble-ready" | "ensemble-failed" as name, fields=fields):
                    self._engine = {**self._engine, "ensemble": fields}
                    self._record.event(name, fields)
                case Event(name="exam-begun"):
                    self._record.next_exam(self._exam.count())
                    self._exam.begin()
                case Event(name="failed", fields=fields):
                    self._hear_failure(fields)

    def _hear_failure(self, fields: Mapping[str, Any]) -> None:
        error = ERRORS_BY_NAME.get(fields["error"], RunError)(fields["message"])
        if isinstance(error, InputError) and not self._viewer.decoded:
            raise error
        self._record.event("failed", {"role": fields["role"], "error": fields["error"]})

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
        self._exam.measures.restart(role, now_ns)
        self._start(role)

    def _turn_off(self, reason: str, *, final: bool = False) -> None:
        if self._viewer.off_reason is not None and not final:
            return
        self._hear_results()
        self._viewer.turn_off(reason)
        self._pictures.tell(Event("engine-off", self._exam.ledger.describe()))
