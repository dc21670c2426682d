"""One exam on three processes: what all ways of running it have in common.

This is the display process: it starts the capture and the engine process, hears them, and ends with
them. How pictures are shown, and what follows when a process fails, is for those who build on it.
"""

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import zmq

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import ERRORS_BY_NAME, NeurosonoError, RunError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.processes.channel import (
    Endpoints,
    Inlet,
    make_socket_folder,
    open_socket,
    remove_socket_folder,
)
from neurosono.stream.processes.ledger import Ledger
from neurosono.stream.processes.supervisor import Supervisor
from neurosono.stream.processes.wire import Event
from neurosono.stream.session.options import Judging
from neurosono.stream.view.recent import Recent
from neurosono.stream.view.viewer import Viewer

SEQ_MARGIN = 1000
"""Another capture process numbers its frames from here on: far above any that are on their way."""

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LOSSLESS_RECENT = 8
"""Pictures that a lossless replay remembers: each waits for its own answer, so one would do."""


class Session(ABC):
    """The processes of one exam, the words between them, and the accounts of its frames."""

    def __init__(self, asked: Judging, bundle: Bundle, student: Bundle | None) -> None:
        """`student` judges beside `bundle`."""
        self.asked, self.bundle, self.student = asked, bundle, student
        newest_wins = asked.pace.newest_wins
        recent = Recent() if newest_wins else Recent(LOSSLESS_RECENT)
        self.viewer = Viewer(bundle.manifest.labels, newest_wins, recent=recent)
        self.ledger = Ledger()
        self.engine: dict[str, Any] = {}
        """What judges, as it says itself; empty until an engine is ready."""
        self.captured: list[Mapping[str, Any]] = []
        """What each capture process said last of its counts."""
        self.ended = False
        """Whether the capture process has said its last word."""
        self.opened: Mapping[str, Any] = {}
        """What the capture process said of a recording when it opened it."""
        self.failure: NeurosonoError | None = None
        """Why the exam could not be ended as it was begun."""
        self.interrupted = False
        """Whether somebody asked for an early end."""

    @contextmanager
    def open(self, window: int) -> Iterator[None]:
        """Open the sockets, with `window` pictures on their way at once; end all on the way out."""
        cv2.setNumThreads(1)  # the other cores belong to decoding and the network
        folder = make_socket_folder()
        endpoints = Endpoints.in_folder(folder)
        try:
            with (
                zmq.Context() as context,
                open_socket(context, endpoints.results, bind=True) as results,
                open_socket(context, endpoints.display, bind=False) as pictures,
                Supervisor(endpoints) as self.children,
            ):
                self.results, self.pictures = Inlet(results), Inlet(pictures, window)
                yield
        finally:
            remove_socket_folder(folder)

    def start_engine(self, exam: dict[str, Any] | None = None, avoid: tuple[str, ...] = ()) -> None:
        """Start an engine process, to go on with `exam`, on none of the engines to `avoid`."""
        self.children.start("engine", self.asked.for_engine(self.bundle, exam, avoid))

    def start_capture(self) -> None:
        """Start a capture process, to go on where the one before it stopped."""
        decoded = self.viewer.decoded
        first_seq = self.ledger.next_seq + (SEQ_MARGIN if decoded else 0)
        self.captured.append({})
        self.children.start("capture", self.asked.for_capture(self.bundle, first_seq, decoded))
        self.ledger.begin_at(first_seq)

    def hear_results(self, timeout_ms: int = 0) -> None:
        """Take in all that the engine process said, waiting for its first word if asked to."""
        while (received := self.results.receive(timeout_ms)) is not None:
            timeout_ms = 0
            self.note("engine")
            match received.message:
                case Result() as result if self.viewer.off_reason is None:
                    # a dead engine's last word may come late: its frame counts as unjudged by then
                    self._enter(result, judged=True)
                case Event(name="ready", fields=fields):
                    self._turn_on(fields)
                case Event(name="ensemble-ready" | "ensemble-failed" as name, fields=fields):
                    known = self.engine.get("ensemble", {})
                    self.engine = {**self.engine, "ensemble": {**known, **fields}}
                    self.say(name, fields)
                case Event(name="failed", fields=fields):
                    error = ERRORS_BY_NAME.get(fields["error"], RunError)(fields["message"])
                    self.hear_failure(error, fields["role"])
                case Event(name=name, fields=fields):
                    self.say(name, fields)

    def hear_picture(self, timeout_ms: int = 0) -> bool:
        """Take in the next thing that the capture process said; returns whether there was one."""
        received = self.pictures.receive(timeout_ms)
        if received is None:
            return False
        self.note("capture")
        match received.message:
            case DisplayFrame() as picture:
                self.pictures.give_credit()
                self.show(picture)
            case Frame() as unjudged:
                self._enter(self._describe_unjudged(unjudged), judged=False)
            case Event(name="alive" | "end" as name, fields=fields):
                self.captured[-1] = {**self.captured[-1], **fields}
                self.ended = name == "end"
                self.tell("recorded", {"next_seq": self.ledger.next_seq})
            case Event(name="hello"):
                self.pictures.begin_again()
            case Event(name="opened", fields=fields):
                self.opened = fields
                self.say("opened", fields)
            case Event(name=name, fields=fields):
                self.say(name, fields)
        return True

    def follow(self, steps: Callable[[], None]) -> None:
        """Run `steps`, which end soon once the session is `interrupted`.

        Ctrl-C, a closed terminal and a polite kill are noted and tear nothing, as what was done up
        to there is to be kept; once is enough, so a second one does not tear its finishing.
        """

        def interrupt(*_: object) -> None:
            self.interrupted = True

        before = {}
        if threading.current_thread() is threading.main_thread():
            heeded = [each for each in INTERRUPTS if signal.getsignal(each) != signal.SIG_IGN]
            before = {each: signal.signal(each, interrupt) for each in heeded}
        try:
            steps()
        finally:
            for each, handler in () if self.interrupted else before.items():
                signal.signal(each, handler)

    def turn_off(self, reason: str, *, final: bool = False) -> None:
        """Show nothing of the engine any more; frames that it left are counted as unjudged.

        Only a `final` reason takes the place of one that stands.
        """
        if self.viewer.off_reason is not None and not final:
            return
        self.hear_results()  # what it said before counts
        self.viewer.turn_off(reason)
        self.tell("engine-off", self.ledger.describe())

    def tell(self, name: str, fields: Mapping[str, Any] | None = None) -> None:
        """Say something to the capture process."""
        self.pictures.tell(Event(name, dict(fields or {})))

    def is_accounted_for(self) -> bool:
        """Whether capture has ended and every frame that it sampled is on record."""
        return self.ended and self.ledger.recorded >= self.sum_captured("sampled")

    def sum_captured(self, what: str) -> int:
        """Return what all capture processes counted together."""
        return sum(int(each.get(what, 0)) for each in self.captured)

    @abstractmethod
    def show(self, picture: DisplayFrame) -> None:
        """Show a picture."""

    @abstractmethod
    def take(self, result: Result, *, judged: bool) -> None:
        """Take what became of a sampled frame: once for each, also where no engine `judged` it."""

    @abstractmethod
    def say(self, name: str, fields: Mapping[str, Any]) -> None:
        """Take what a process told beside pictures and results."""

    @abstractmethod
    def hear_failure(self, error: NeurosonoError, role: str) -> None:
        """A process says why it ends."""

    @abstractmethod
    def snapshot(self) -> ExamSnapshot:
        """Return the exam as it stands."""

    @abstractmethod
    def note(self, role: str) -> None:
        """A process has said something, so it lives."""

    def _enter(self, result: Result, *, judged: bool) -> None:
        if self.ledger.add(result.seq):
            self.take(result, judged=judged)

    def _turn_on(self, fields: Mapping[str, Any]) -> None:
        self.engine = dict(fields) | ({} if self.student is None else {"ensemble": {}})
        was_off = self.viewer.off_reason is not None
        self.viewer.turn_on("{backend} {precision} x{members}".format(**fields))
        if was_off:
            self.tell("engine-on")
        self.say("ready", fields)

    def _describe_unjudged(self, frame: Frame) -> Result:
        """Return the result of a frame that no engine was there to judge."""
        reason = frame.skip_reason or SkipReason.ENGINE_OFF
        return Result.of(frame, self.snapshot(), skip_reason=reason, stage_ms=frame.stage_ms)
