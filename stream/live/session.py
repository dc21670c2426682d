"""Beside the scanner: the running exam of a live source, watched over, and shown to viewers.

This is the display process. It starts the capture and the engine process, notices when one of them
dies, hangs or falls behind, says so on the screen, and starts it again where it left off.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from neurosono.engine.backends import REMOTE
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import (
    EngineFailedError,
    InputError,
    NeurosonoError,
    ProcessFailedError,
    ServerAwayError,
)
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.engine.exam.exam import Exam
from neurosono.stream.capture.options import Pace
from neurosono.stream.live.exam import LiveExam
from neurosono.stream.live.spares import Spares
from neurosono.stream.live.stage import Ended, Record, Stage
from neurosono.stream.processes.channel import await_any
from neurosono.stream.processes.supervisor import describe_exit
from neurosono.stream.processes.watch import MAX_RESTARTS, Absences, Action, Patience, Watch
from neurosono.stream.session.beside import Beside
from neurosono.stream.session.options import LAST_RESORT, Judging
from neurosono.stream.session.session import Session

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
SERVER_AWAY = "the server gave no answer; an engine of this host takes over"
PLAYED_NS = 60_000_000_000
"""How long, once a recording was played to its end. While its last frame waits for the engine its
capture process says nothing, and may be silent for as long."""


class Live(Session):
    """One session in which the newest picture wins; what fails is started again.

    A recording that is played in real time goes the same way, but its capture process is not
    started again: `failure` then says why it is not whole.
    """

    def __init__(
        self,
        options: Judging,
        bundle: Bundle,
        stage: Stage,
        record: Record,
        exam: Exam | None = None,
        *,
        student: Bundle | None = None,
        second_read: bool = False,
        readers: Mapping[str, Bundle] = MappingProxyType({}),
        read: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    ) -> None:
        """`student` judges every frame where it is given, `bundle` as many as time allows.

        `readers` read the same frames, each for itself; `read` is where their exams stood.
        """
        super().__init__(options, bundle, student, readers)
        self._stage, self._record = stage, record
        self._plays = options.pace is Pace.REALTIME
        self._watches = {role: Watch(patience) for role, patience in PATIENCE.items()}
        for reader in self.readers.values():
            self._watches[reader.role] = Watch(PATIENCE["engine"])
        if self._plays:
            self._watches["capture"] = Watch(Patience(quiet_s=PLAYED_NS / 1e9))
        self._exam = LiveExam(
            bundle,
            student,
            self.viewer,
            self.ledger,
            stage,
            record,
            exam,
            ask_new_exam=self._ask_new_exam,
            second_read=second_read,
            readers=self.readers,
        )
        for name, state in read.items():
            self.readers[name].take_up(state)
        self._failed: set[str] = set()
        self._absences = Absences()
        self._spares = Spares()
        self._picture_ns = time.monotonic_ns()
        self._said_ns = 0
        self._started_ns = time.monotonic_ns()
        self._stepped_ns = time.monotonic_ns()

    def run(
        self,
        stopped: Callable[[], bool] = lambda: False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Ended:
        """Follow the source until `stopped`; a recording, to its end or to a Ctrl-C.

        `meanwhile` is called once, while the other processes open source and engine.
        Raises `InputError` where source, bundle or engine cannot be used at all.
        """

        def follow() -> None:
            while not (stopped() or (self._plays and self._is_played())):
                self._step()

        with self.open(window=1):
            for role in ("engine", *(each.role for each in self.readers.values()), "capture"):
                self._start(role)
            meanwhile()
            if self._plays:
                self.follow(follow)
            else:
                follow()
            measured = self._finish()
        readings = {name: reader.describe() for name, reader in self.readers.items()}
        return Ended(self._exam.exam, self._exam.count(), dict(self.engine), measured, readings)

    def _ask_new_exam(self) -> None:
        for reader in self.readers.values():
            reader.weeks = None  # they were told of the last patient
        self.trust.ask_exam()
        self.tell("new-exam")

    def _is_played(self) -> bool:
        return self.ended or self.interrupted or self.failure is not None

    def _step(self) -> None:
        await_any(POLL_MS, self.results, self.pictures)
        self.hear_results()
        self.hear_picture()
        for command in self._stage.commands():
            self._exam.desk.obey(command)
        now_ns = time.monotonic_ns()
        if now_ns - self._stepped_ns > STALLED_NS:
            self._excuse(now_ns)
        self._stepped_ns = now_ns
        self._judge_signal(now_ns)
        for role in self._watches:
            self._watch(role, now_ns)
        has_news = self._exam.has_news or self._exam.has_turned(now_ns)
        if has_news or now_ns - self._said_ns >= STATUS_EVERY_NS:
            self._said_ns = now_ns
            self._exam.source = self.captured[-1] if self.captured else {}
            self._exam.say(now_ns)
        if self.engine:
            self._exam.measures.look(self.children.all_pids(), now_ns)
            self._keep_spares(now_ns)

    def _keep_spares(self, now_ns: int) -> None:
        """Once all run, and not before, keep what may be needed soon as a process that has loaded.

        Of the engine only where another one takes over, and then with that one open: a GPU that
        fails takes its process along.
        """
        if self._plays or self._picture_ns <= self._started_ns or self.viewer.off_reason:
            return
        wanted: dict[str, object] = {"capture": None}
        if self.asked.gives_way(self.engine["backend"]):
            failed = self._name_failed()
            wanted["engine"] = self.asked.for_engine(self.bundle, None, failed, waits=True)
        self._spares.keep(self.children, wanted, now_ns)

    def _name_failed(self) -> tuple[str, ...]:
        """Name the engines that failed, and the one that judges, as if it just had."""
        judging = {self.engine.get("backend", LAST_RESORT)} - {LAST_RESORT}
        return tuple(sorted(self._failed | judging))

    def _excuse(self, now_ns: int) -> None:
        """We ourselves stood still: that nobody was heard meanwhile is not the others' fault."""
        self._picture_ns = now_ns
        self.excuse_engines()
        for watch in self._watches.values():
            watch.excuse(now_ns)

    def _finish(self) -> dict[str, Any]:
        """Let what is on its way arrive, say the last word, and return what was measured."""
        asked_ns = time.monotonic_ns()
        self._exam.measures.weigh(self.children.all_pids(), asked_ns)
        if not self.engine:
            self.turn_off("the session ended before the engine was ready")
        for reader in self.readers.values():
            if not reader.engine:
                self.turn_off_reader(reader, "the session ended before it was ready")
        self.tell("finish")
        deadline_ns = time.monotonic_ns() + (PLAYED_NS if self.ended else FINISH_NS)
        while time.monotonic_ns() < deadline_ns and not self.is_accounted_for():
            await_any(POLL_MS, self.results, self.pictures)
            self.hear_results()
            self.hear_picture()
            for role in self._watches:
                self._heed_distrust(role)
            if not self.children.runs("engine"):
                self.hear_results(POLL_MS)  # what it said before it ended comes first
                if not self.is_accounted_for():
                    self.turn_off("the engine process died")
            for reader in self.readers.values():
                if not self.children.runs(reader.role) and not self.is_accounted_for():
                    self.turn_off_reader(reader, "its process died")
        self.settle_readings(None)
        self._exam.end(asked_ns)
        measured = self._exam.measures.finish(time.monotonic_ns())
        said = self.viewer.source_said
        return {**measured, "accounts": self._draw_up_accounts(), "source_said": said}

    def _draw_up_accounts(self) -> dict[str, int]:
        """Return the capture processes' own counts of the whole session, beside ours.

        `unaccounted` are sampled frames of which nobody said what became of them: those that a
        killed process took along, and those still on their way after `FINISH_NS`.
        """
        names = ("received", "overrun", "decoded", "displayed", "dropped", "sampled")
        counted = {name: self.accounts.sum(name) for name in names}
        recorded = self.ledger.recorded
        return {
            **{f"capture_{name}": count for name, count in counted.items()},
            "shown": self.viewer.displayed,
            "recorded": recorded,
            "unaccounted": counted["sampled"] - recorded,
        }

    def _start(self, role: str) -> bool:
        """Start a process; where the system refuses, say so, and try again in a second."""
        self._started_ns = time.monotonic_ns()
        self._watches[role].start(self._started_ns)
        try:
            self._start_child(role)
        except ProcessFailedError as error:
            self._watches[role].postpone(time.monotonic_ns())
            self._record.event("failed", {**_name_role(role), "error": type(error).__name__})
            words = "the system refused to start the engine process; it is tried each second"
            # in the place of "is being started again"
            self._turn_off_role(role, words, final=True)
            return False
        return True

    def _start_child(self, role: str) -> None:
        if role == "capture":
            self.start_capture()
            return
        if (reader := self._find_reader(role)) is not None:
            self.start_reader(reader)
            return
        self._failed.update(failed := self._name_failed())
        self.start_engine(self._exam.exam.to_json(), failed)

    def show(self, picture: DisplayFrame) -> None:
        """Show a picture: there is a signal."""
        self._picture_ns = self._said_ns = time.monotonic_ns()
        if self.viewer.no_signal is not None:
            self.viewer.no_signal = None
            self._record.state("signal", "on")
        self._exam.source = self.captured[-1]
        self._exam.show(picture)

    def take(self, result: Result, *, judged: bool) -> None:
        """Enter what became of a frame into the exam."""
        self._exam.take(result, judged=judged)

    def describe_readings(self, now_ns: int) -> dict[str, Any]:
        """Return what the status says of each reader now."""
        return self._exam.describe_readings(now_ns)

    def take_reading(self, reader: Beside, result: ReaderResult) -> None:
        """Enter what a reader says of a frame."""
        self._exam.take_reading(reader, result)

    def say(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write down what happened; another exam begins in its place among the frames."""
        if name == "exam-begun":
            self._leave_unread()
            self._record.next_exam(self._exam.count())
            self._exam.begin()
            self.settle_readings(fields["first_seq"])
        else:
            if "stands_in_for" in fields and REMOTE not in self._failed:
                self._note_absence()  # away from the start: nobody has failed, and it counts
            self.viewer.note_source(name, fields)
            self._record.event(name, fields)

    def _note_absence(self) -> None:
        self._failed.add(REMOTE)
        self._record.event("failed", {**_name_role("engine"), "error": ServerAwayError.__name__})

    def note(self, role: str) -> None:
        """A process has said something, so it lives."""
        self._watches[role].hear(time.monotonic_ns())

    def snapshot(self) -> ExamSnapshot:
        """Return the exam as it stands here."""
        return self._exam.exam.snapshot()

    def hear_failure(self, error: NeurosonoError, role: str) -> None:
        """Write it down; raise what says that nothing could be begun."""
        # an engine that will not do is known late: pictures may have come long before
        begun = self.engine if role == "engine" else self.viewer.decoded
        if isinstance(error, InputError) and not begun:
            raise error
        self._record.event("failed", {**_name_role(role), "error": type(error).__name__})
        if isinstance(error, ServerAwayError) and self.asked.server is not None:
            self._failed.add(REMOTE)  # also where it never was ready
            rest_s = self._absences.note(time.monotonic_ns())
            self.asked = replace(self.asked, server=replace(self.asked.server, rest_s=rest_s))
            self._turn_off_role(role, SERVER_AWAY)

    def _leave_unread(self) -> None:
        """What readers have not said of the exam that ends will not be said any more."""
        for reader in self.readers.values():
            for late in self._exam.unread(reader):
                self._enter_reading(late)

    def _find_reader(self, role: str) -> Beside | None:
        return self.readers.get(role.partition(":")[2])

    def _turn_off_role(self, role: str, reason: str, *, final: bool = False) -> None:
        reader = self._find_reader(role)
        if reader is not None:
            self.turn_off_reader(reader, reason, final=final)
        elif role == "engine":
            self.turn_off(reason, final=final)

    def _judge_signal(self, now_ns: int) -> None:
        if self.viewer.no_signal is not None:
            return
        limit_s = NO_SIGNAL_AFTER_S if self.viewer.decoded else FIRST_PICTURE_S
        if now_ns - self._picture_ns > limit_s * 1e9:
            self.viewer.no_signal = "no picture comes from the source"
            self._record.state("signal", "no-signal")

    def _heed_distrust(self, role: str) -> None:
        """A child that talks nonsense is no better than a dead one, and is started again as one."""
        if role not in self.distrusted:
            return
        said = self.dismiss(role)
        self._record.event("failed", {**_name_role(role), "error": "WireError"})
        self._turn_off_role(role, f"{said}; it is being started again")

    def _watch(self, role: str, now_ns: int) -> None:
        self._heed_distrust(role)
        action = self._watches[role].judge(now_ns, running=self.children.runs(role))
        if not self.children.runs(role):
            self._turn_off_role(role, "the engine process died; it is being started again")
        if action is Action.GIVE_UP:
            self._give_up(role)
        if action is not Action.RESTART:
            return
        self.children.kill(role)
        self.hear_results()  # what it said before it ended counts
        self._turn_off_role(role, "the engine process is being started again")
        if role == "capture" and self._plays and not self._watches[role].refused:
            self._lose_capture()
            return
        while role == "capture" and self.hear_picture(POLL_MS):
            pass  # or its last counts would be taken for the next one's
        if self._start(role):
            count = self._watches[role].restarts
            self._record.event("restarted", {**_name_role(role), "count": count})
            self._exam.measures.restart(role, now_ns)

    def _lose_capture(self) -> None:
        """End with what came of a recording: another capture process would play it anew."""
        while self.hear_picture(POLL_MS):  # what it said before it ended counts
            pass
        code = self.children.exit_code("capture")
        if not self.ended and code is not None:
            self.failure = ProcessFailedError(f"the capture process died ({describe_exit(code)})")
            self.lose_capture()

    def _give_up(self, role: str) -> None:
        self._record.event("gave-up", {**_name_role(role), "count": MAX_RESTARTS})
        what = role.replace(":", " of ")
        words = f"the {what} failed five times in a minute: start neurosono again"
        if role == "capture":
            self.failure = ProcessFailedError(words)
            self.viewer.no_signal = words
        else:
            self.failure = EngineFailedError(words)
            self._turn_off_role(role, words, final=True)


def _name_role(role: str) -> dict[str, str]:
    """Return a role in the journal's words: of a reader also its name."""
    kind, _, name = role.partition(":")
    return {"role": kind} | ({"reader": name} if name else {})
