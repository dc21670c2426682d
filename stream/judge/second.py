"""The whole ensemble behind its student: on every frame of a lossless replay, else as time allows.

Beside a running picture it has a thread of its own that the system runs only when nothing else
wants the core, so that the student, and with it the screen, waits for nobody.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from neurosono.engine.backends import Backend
from neurosono.engine.choice import Choice
from neurosono.engine.contracts.errors import EngineFailedError, NeurosonoError, ServerAwayError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.pair import EnsembleAnswer
from neurosono.engine.exam.exam import average_members
from neurosono.engine.familiarity import Familiarity
from neurosono.stream.processes.child import in_one_line
from neurosono.stream.processes.wire import Event

LOWEST = 19
"""The niceness of a thread that cannot be made idle."""


class SecondOpinion(Protocol):
    """Where an ensemble gets its frames and says what it makes of them."""

    def exchange(self, frame: Frame | None) -> EnsembleAnswer | None:
        """Put forward a frame that the student has judged, if any; take the next answer, if any."""

    def begin_again(self) -> None:
        """Drop all that is of the exam before."""

    def events(self) -> list[Event]:
        """Return what is to be told since the last time."""

    def close(self) -> None:
        """Take no more frames."""


class AtOnce:
    """Judges each frame before the next one comes: the same answers on every run."""

    def __init__(
        self, choice: Choice, classes: int, familiarity: Familiarity | None = None
    ) -> None:
        """`choice` is the ensemble's open engine; it answers for `classes` classes."""
        self._backend, self._classes = choice.backend, classes
        self._familiarity = familiarity
        self._events = [Event("ensemble-ready", choice.describe())]

    def exchange(self, frame: Frame | None) -> EnsembleAnswer | None:
        """Judge the frame now; raises `EngineFailedError`."""
        if frame is None:
            return None
        return ask(self._backend, frame, self._classes, self._familiarity)

    def begin_again(self) -> None:
        """Nothing is kept from one frame to the next."""

    def events(self) -> list[Event]:
        """Return that it is ready, once."""
        told, self._events = self._events, []
        return told

    def close(self) -> None:
        """Nothing is under way between two frames."""


class Beside:
    """Judges the newest frame whenever it is idle; what the student says of it plays no part.

    Between two answers every newer frame takes the waiting one's place, so the frames judged are
    spread over the exam as evenly as the ensemble's time allows. It opens its engine itself, so
    that the student does not wait for that either. Where the engine fails it says so, once, and
    ends; a server that is away costs the frames that it was asked of meanwhile.
    """

    def __init__(
        self,
        open_engine: Callable[[], Choice],
        classes: int,
        familiarity: Familiarity | None = None,
    ) -> None:
        """Begin to open the engine, which answers for `classes` classes."""
        self._open, self._classes = open_engine, classes
        self._familiarity = familiarity
        self._change = threading.Condition()
        self._waiting: Frame | None = None
        self._answers: deque[EnsembleAnswer] = deque()
        self._events: list[Event] = []
        self._exam = 0
        self._stopping = False
        # no daemon: the process must not end while a network is computing in it
        self._thread = threading.Thread(target=self._run, name="ensemble")
        self._thread.start()

    def exchange(self, frame: Frame | None) -> EnsembleAnswer | None:
        """Put a frame in the waiting one's place; take the oldest answer that is there."""
        with self._change:
            if frame is not None:
                self._waiting = frame
                self._change.notify()
            return self._answers.popleft() if self._answers else None

    def begin_again(self) -> None:
        """Drop what waits, what is said, and what is being judged; that it failed is kept."""
        with self._change:
            self._exam += 1
            self._waiting = None
            self._answers = deque(each for each in self._answers if each.probabilities is None)

    def events(self) -> list[Event]:
        """Return what is to be told since the last time."""
        with self._change:
            told, self._events = self._events, []
        return told

    def close(self) -> None:
        """Take no more frames; the one under way is judged to its end, and nobody waits for it."""
        with self._change:
            self._stopping = True
            self._change.notify()

    def _run(self) -> None:
        seq = 0
        step_back()
        try:
            choice = self._open()
            self._tell(Event("ensemble-ready", choice.describe()))
            while (taken := self._take()) is not None:
                exam, frame = taken
                seq = frame.seq
                try:
                    answer = ask(choice.backend, frame, self._classes, self._familiarity)
                except ServerAwayError:
                    continue
                with self._change:
                    if exam == self._exam:
                        self._answers.append(answer)
        # what a library raises is not ours to foresee: the student goes on without the ensemble
        except (NeurosonoError, RuntimeError, MemoryError) as error:
            name = type(error if isinstance(error, NeurosonoError) else EngineFailedError(""))
            said = {"error": name.__name__, "message": in_one_line(f"the ensemble failed: {error}")}
            self._tell(Event("ensemble-failed", said))
            with self._change:
                self._answers.append(EnsembleAnswer(seq, None))

    def _take(self) -> tuple[int, Frame] | None:
        with self._change:
            self._change.wait_for(lambda: self._stopping or self._waiting is not None)
            frame, self._waiting = self._waiting, None
            return None if self._stopping or frame is None else (self._exam, frame)

    def _tell(self, event: Event) -> None:
        with self._change:
            self._events.append(event)


def ask(
    backend: Backend, frame: Frame, classes: int, familiarity: Familiarity | None
) -> EnsembleAnswer:
    """Let the ensemble judge a frame; raises `EngineFailedError` on what are no probabilities."""
    assert frame.pixels is not None, "only frames that the student has judged are put forward"
    begun_ns = time.monotonic_ns()
    answer = backend.infer(frame.pixels[None])
    members = answer.probabilities[0]
    network_ms = (time.monotonic_ns() - begun_ns) / 1e6
    average_members(members, classes)
    strangeness = None if familiarity is None else familiarity.check(answer.features[0])
    return EnsembleAnswer(frame.seq, members, network_ms, strangeness)


def count_threads() -> int:
    """Return how many threads an ensemble has beside its student: half the cores, at least one.

    With one, all of it runs on the thread that `step_back` has put behind every other.
    """
    return max(1, len(os.sched_getaffinity(0)) // 2)


def step_back() -> None:
    """Let this thread run only when no other wants the core; where that is refused, be nice."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        with contextlib.suppress(OSError):  # a container may refuse both: then it is an equal
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
