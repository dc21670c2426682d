"""One exam on three processes: what all ways of running it have in common.

This is the display process: it starts the capture and the engine process, hears them, and ends with
them. How pictures are shown, and what follows when a process fails, is for those who build on it.
"""

import logging
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import cv2
import zmq

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import (
    ERRORS_BY_NAME,
    NeurosonoError,
    RunError,
    WireError,
)
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.reader import ReaderResult
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
from neurosono.stream.processes.wire import Event, Message
from neurosono.stream.session.accounts import Accounts
from neurosono.stream.session.beside import Beside, name_speaker, stand_beside
from neurosono.stream.session.options import Judging
from neurosono.stream.session.trust import Trust
from neurosono.stream.view.recent import Recent
from neurosono.stream.view.viewer import Viewer
from neurosono.stream.view.words import name_engine

log = logging.getLogger(__name__)

NONSENSE = (LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
DISMISSED_MS = 10
"""How long we wait for what a killed child has still on its way."""

SEQ_MARGIN = 1000
"""Another capture process numbers its frames from here on: far above any that are on their way."""

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LOSSLESS_RECENT = 8
"""Pictures that a lossless replay remembers: each waits for its own answer, so one would do."""


class Session(ABC):
    """The processes of one exam, the words between them, and the accounts of its frames."""

    def __init__(
        self,
        asked: Judging,
        bundle: Bundle,
        student: Bundle | None,
        readers: Mapping[str, Bundle] = MappingProxyType({}),
    ) -> None:
        """`student` judges beside `bundle`, and `readers` read the same frames."""
        self.asked, self.bundle, self.student = asked, bundle, student
        newest_wins = asked.pace.newest_wins
        recent = Recent() if newest_wins else Recent(LOSSLESS_RECENT)
        self.viewer = Viewer(bundle.manifest.labels, newest_wins, recent=recent)
        self.ledger = Ledger()
        self.distrusted: dict[str, str] = {}
        """Which child talks nonsense, and how: it is not heard any more, and to be dismissed."""
        self.readers = stand_beside(readers, asked)
        roles = ("capture", "engine", *(reader.role for reader in self.readers.values()))
        self.trust = Trust(bundle.manifest.labels, roles)
        self.accounts = Accounts(self._ledgers())
        self.engine: dict[str, Any] = {}
        """What judges, as it says itself; empty until an engine is ready."""
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
        self.trust.begin_engine()
        asked = self.asked.for_engine(self.bundle, exam, avoid, waits=bool(self.engine))
        self.children.start("engine", asked)

    def start_reader(self, reader: Beside) -> None:
        """Start a reader's process."""
        options = self.asked.for_reader(reader.name, reader.bundle, reader.weeks)
        self.children.start(reader.role, options)

    def start_capture(self) -> None:
        """Start a capture process, to go on where the one before it stopped."""
        decoded, ledgers = self.viewer.decoded, self._ledgers()
        reached = max(ledger.next_seq for ledger in ledgers)
        first_seq = reached + (SEQ_MARGIN if decoded else 0)
        readers = {name: reader.bundle for name, reader in self.readers.items()}
        options = self.asked.for_capture(self.bundle, first_seq, decoded, readers)
        self.children.start("capture", options)  # where the system refuses, nothing has begun
        for ledger in ledgers:
            ledger.begin_at(first_seq)
        self.accounts.begin(first_seq, decoded)
        self.trust.begin_capture(options.stream_id, first_seq, decoded)
        self.excuse_engines()  # what the one before did not send on is not answered any more

    def excuse_engines(self) -> None:
        """What is late now is late by no fault of an engine or reader."""
        for standing in (self.viewer.standing, *(each.standing for each in self.readers.values())):
            standing.excuse()

    def hear_results(self, timeout_ms: int = 0) -> None:
        """Take in all that engine processes said, waiting for the first word if asked to."""
        while (
            heard := self._listen(self.results, self.trust.check_engine, timeout_ms)
        ) is not None:
            timeout_ms = 0
            role, message = heard
            self.note(role)
            reader = self.readers.get(role.removeprefix("reader:"))
            match message:
                case ReaderResult() if reader is not None:
                    if reader.standing.off_reason is None:
                        self._enter_reading(message)
                case Event() if reader is not None:
                    self._hear_reader(reader, message)
                case _:
                    self._hear_engine(message)

    def _hear_reader(self, reader: Beside, event: Event) -> None:
        if event.name == "exam-begun":
            reader.run_ahead(event.fields["first_seq"])
            return
        if event.name != "reader-ready":
            self.say(event.name, event.fields)
            return
        was_off = reader.standing.off_reason is not None
        reader.turn_on(event.fields)
        if was_off:
            self.tell("engine-on", {"reader": reader.name})
        self.say("reader-ready", event.fields)

    def _hear_engine(self, message: Message) -> None:
        match message:
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
        heard = self._listen(self.pictures, self.trust.check_capture, timeout_ms)
        if heard is None:
            return False
        self.note("capture")
        match heard[1]:
            case DisplayFrame() as picture:
                self.pictures.give_credit()
                self.accounts.see(picture)
                self._show(picture)
            case Frame() as unjudged:
                self._enter(self._describe_unjudged(unjudged), judged=False)
            case ReaderResult() as unread:
                self._enter_reading(unread)
            case Event(name="alive" | "end" as name, fields=fields):
                self._hear_counts(fields, ended=name == "end")
            case Event(name="hello"):
                self.pictures.begin_again()
            case Event(name="opened", fields=fields):
                self.opened = fields
                self.say("opened", fields)
            case Event(name=name, fields=fields):
                self.say(name, fields)
        return True

    def _listen(
        self, inlet: Inlet, check: Callable[[Message], None], timeout_ms: int
    ) -> tuple[str, Message] | None:
        """Return the next thing that a child said and that can be believed, and whose it is.

        One that talks nonsense is `distrusted`, and whatever else it says passes unheard.
        """
        role = "capture" if inlet is self.pictures else "engine"
        while True:
            try:
                received = inlet.receive(timeout_ms)
                if received is None:
                    return None
                speaker = (
                    role if role == "capture" else name_speaker(received.message, self.readers)
                )
                if self.trust.is_past(received.message):
                    continue
                if speaker not in self.distrusted:
                    check(received.message)
                    return speaker, received.message
            except WireError as error:
                self._distrust(role, str(error))

    def _distrust(self, role: str, why: str) -> None:
        if role not in self.distrusted:
            log.warning("the %s process talks nonsense: %s", role, why)
            self.distrusted[role] = why

    def dismiss(self, role: str) -> str:
        """End a child that talks nonsense, and hear nothing more of it; returns what to say."""
        if self.children.runs(role):
            self.children.kill(role)
        if role == "capture":
            while self._listen(self.pictures, self.trust.check_capture, DISMISSED_MS) is not None:
                pass  # a distrusted child is not heard
        else:
            self.hear_results(DISMISSED_MS)
        return f"the {role} process talked nonsense ({self.distrusted.pop(role)})"

    def _show(self, picture: DisplayFrame) -> None:
        for reader in self.readers.values():
            reader.see(picture)
        self.show(picture)

    def _hear_counts(self, fields: Mapping[str, Any], *, ended: bool) -> None:
        """Take what capture counted; tell it what is on record, and so need not be remembered."""
        self.accounts.hear(fields)
        self.ended = ended
        self.tell("recorded", {"next_seq": self.ledger.next_seq})
        for name, reader in self.readers.items():
            self.tell("recorded", {"next_seq": reader.ledger.next_seq, "reader": name})

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

    def turn_off_reader(self, reader: Beside, reason: str, *, final: bool = False) -> None:
        """Show nothing of a reader any more; the frames that it left are counted as unread."""
        if reader.standing.off_reason is not None and not final:
            return
        self.hear_results()  # what it said before counts
        reader.standing.turn_off(reason)
        reader.latest = reader.pixels = None
        self.tell("engine-off", {**reader.ledger.describe(), "reader": reader.name})

    def tell(self, name: str, fields: Mapping[str, Any] | None = None) -> None:
        """Say something to the capture process."""
        self.pictures.tell(Event(name, dict(fields or {})))

    def is_accounted_for(self) -> bool:
        """Whether capture has ended and every frame that it sampled is on record."""
        return self.ended and self.accounts.are_even()

    def lose_capture(self) -> None:
        """The capture process is gone for good: what came of it is all that it sampled."""
        self.accounts.lose()
        self.ended = True

    @property
    def captured(self) -> list[Mapping[str, Any]]:
        """What each capture process said last of its counts."""
        return self.accounts.told

    def _ledgers(self) -> list[Ledger]:
        return [self.ledger, *(reader.ledger for reader in self.readers.values())]

    @abstractmethod
    def show(self, picture: DisplayFrame) -> None:
        """Show a picture."""

    @abstractmethod
    def take(self, result: Result, *, judged: bool) -> None:
        """Take what became of a sampled frame: once for each, also where no engine `judged` it."""

    @abstractmethod
    def take_reading(self, reader: Beside, result: ReaderResult) -> None:
        """Take what a reader says of a sampled frame: once for each, also where it says nothing."""

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
            self.accounts.see_frame(result.seq)
            self.take(result, judged=judged)
        elif judged and self.trust.repeats_too_often():
            self._distrust("engine", "it answers the same frames again and again")

    def settle_readings(self, first_seq: int | None) -> None:
        """The exam that begins with `first_seq` has begun, or, None, no other one does any more.

        What readers said of it is entered now.
        """
        for reader in self.readers.values():
            for result in reader.give_up() if first_seq is None else reader.release(first_seq):
                self._enter_reading(result)

    def _enter_reading(self, result: ReaderResult) -> None:
        reader = self.readers[result.reader]
        if reader.is_ahead(result):
            passed = reader.hold(result)
            if passed is None:
                return
            result = passed
        if not reader.ledger.add(result.seq):
            return
        try:
            self.take_reading(reader, result)
        except NONSENSE as error:  # what a reader says has the form of its kind, if it is right
            self._distrust(reader.role, f"{type(error).__name__} in a reading")

    def _turn_on(self, fields: Mapping[str, Any]) -> None:
        self.engine = dict(fields) | ({} if self.student is None else {"ensemble": {}})
        was_off = self.viewer.off_reason is not None
        self.viewer.turn_on(name_engine(fields))
        if was_off:
            self.tell("engine-on")
        self.say("ready", fields)

    def _describe_unjudged(self, frame: Frame) -> Result:
        """Return the result of a frame that no engine was there to judge."""
        reason = frame.skip_reason or SkipReason.ENGINE_OFF
        return Result.of(frame, self.snapshot(), skip_reason=reason, stage_ms=frame.stage_ms)
