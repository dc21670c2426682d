"""The engine process: frames in, results out; it owns the running exam."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosono.engine.backends import Backend, Inference
from neurosono.engine.bundle import Bundle
from neurosono.engine.cam import combine_cams
from neurosono.engine.choice import Choice, open_engine
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import ServerAwayError
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.engine.contracts.pair import EnsembleAnswer
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam, measure_disagreement
from neurosono.engine.exam.pair import PairedExam, open_exam
from neurosono.engine.familiarity import Familiarity, open_familiarity
from neurosono.engine.gate import Gate
from neurosono.stream.judge.opened import Ahead
from neurosono.stream.judge.options import EngineOptions
from neurosono.stream.judge.read_ahead import ReadAhead
from neurosono.stream.judge.scout import Scout, look_for
from neurosono.stream.judge.second import AtOnce, Beside, SecondOpinion, count_threads
from neurosono.stream.processes.channel import Endpoints, Inlet, open_socket
from neurosono.stream.processes.child import Stop, run_child
from neurosono.stream.processes.heap import give_back
from neurosono.stream.processes.wire import Event, pack

if TYPE_CHECKING:
    import zmq

POLL_MS = 100

LOSSLESS_WINDOW = 6
"""Frames on their way in a replay: enough that decoding and the network overlap."""

LIVE_WINDOW = 1
"""Live, a frame waits in capture, where a newer one can still take its place."""


class CamThrottle:
    """Lets a heatmap through at most `rate_hz` times a second of source time (0: never).

    Source time, not the clock on the wall, so that two replays give the same heatmaps.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz if rate_hz > 0 else float("inf")
        self._last_s = float("-inf")

    def passes(self, pts_s: float) -> bool:
        """Return whether the frame shown at `pts_s` gets a heatmap."""
        never = self._period_s == float("inf")
        if never or pts_s - self._last_s < self._period_s - 1e-6:
            return False
        self._last_s = pts_s
        return True


class Worker:
    """Judges frames, one after the other, and keeps the exam.

    With a `gate`, what it takes for no head or spine, or for strange, never reaches the ensemble.
    With `familiarity`, what is unlike the pictures that the members were trained on adds nothing.
    With a `second` opinion, `backend` is the student, and `exam` that of the two. Where it is
    `patient`, a frame that a server gave no answer to adds no evidence, and the next one is asked
    for; else it ends the engine.
    """

    def __init__(
        self,
        backend: Backend,
        exam: Exam,
        cam_hz: float,
        gate: Gate | None = None,
        second: SecondOpinion | None = None,
        familiarity: Familiarity | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self._patient = patient
        self._backend, self.exam, self._gate = backend, exam, gate
        self._familiarity = familiarity
        self._second = second
        self.scout: Scout | None = None
        """Looks for the server that the backend stands in for."""
        self._throttle = CamThrottle(cam_hz)
        self._lets_pass = True

    def warm_up(self, size_px: int) -> None:
        """Judge nothing once, as many runtimes compile only when they are first asked."""
        nothing = np.zeros((size_px, size_px), dtype=np.uint8)
        self._infer(nothing)
        if self._gate is not None:
            self._gate.judge(nothing)

    def lets_pass(self) -> bool:
        """Whether the gate let the last frame pass, and so most likely the next one."""
        return self._lets_pass

    def judge(self, frame: Frame, wait_ms: float = 0.0) -> Result:
        """Add a frame to the exam and say what it shows; `wait_ms` is how long it waited for us."""
        stage_ms = frame.stage_ms | {"wait": wait_ms}
        reason, said = self._ask_gate(frame, stage_ms)
        if frame.pixels is None or reason is not None:
            return self._skip(frame, reason, stage_ms, said)
        begun_ns = time.monotonic_ns()
        answer = self._infer(frame.pixels)
        if answer is None:
            return self._skip(frame, SkipReason.ENGINE_OFF, stage_ms, said)
        network_ns = time.monotonic_ns()
        stage_ms["network"] = (network_ns - begun_ns) / 1e6
        if self._is_strange(answer.features[0], said):
            return self._skip(frame, SkipReason.UNFAMILIAR_TO_MODEL, stage_ms, said)
        members = answer.probabilities[0]
        probabilities = self.exam.update(members)
        said["ensemble"] = self._follow_ensemble(frame, stage_ms)
        wants_cam = self._throttle.passes(frame.pts_s)
        cam = combine_cams(answer.cams[0]) if wants_cam else None
        snapshot = self.exam.snapshot()
        stage_ms["exam"] = (time.monotonic_ns() - network_ns) / 1e6
        return Result.of(
            frame,
            snapshot,
            probabilities=probabilities,
            member_probabilities=members,
            cam=cam,
            disagreement=measure_disagreement(members),
            stage_ms=stage_ms,
            **said,
        )

    def _infer(self, pixels: Pixels) -> Inference | None:
        """Return what the network gives; None where a server that may come back did not answer."""
        try:
            return self._backend.infer(pixels[None])
        except ServerAwayError:
            if not self._patient:
                raise
            return None

    def _is_strange(self, features: Singles, said: dict[str, Any]) -> bool:
        """Whether the members know nothing like it; enters into `said` how strange it is."""
        if self._familiarity is None:
            return False
        said["strangeness"] = self._familiarity.check(features)
        return bool(said["strangeness"] > 1)

    def _skip(
        self,
        frame: Frame,
        reason: SkipReason | None,
        stage_ms: dict[str, float],
        said: dict[str, Any],
    ) -> Result:
        """Say that the frame adds no evidence; without a reason it is none of the exam's."""
        if reason is not None:
            self.exam.skip(reason)
        said["ensemble"] = self._follow_ensemble(None, stage_ms)
        exam = self.exam.snapshot()
        return Result.of(frame, exam, skip_reason=reason, stage_ms=stage_ms, **said)

    def _follow_ensemble(
        self, frame: Frame | None, stage_ms: dict[str, float]
    ) -> EnsembleAnswer | None:
        """Put the frame forward, and enter into the exam what the ensemble has said meanwhile."""
        if self._second is None or not isinstance(self.exam, PairedExam):
            return None
        answer = self._second.exchange(frame)
        if answer is not None:
            self.exam.follow(answer)
            stage_ms["ensemble"] = answer.network_ms
        return answer

    def begin_exam(self, exam: Exam) -> None:
        """Go over to another exam."""
        self.exam = exam
        if self._second is not None:
            self._second.begin_again()

    def events(self) -> list[Event]:
        """Return what the ensemble has to tell, beside its answers, and who judges from here on."""
        told = [] if self._second is None else self._second.events()
        if self.scout is not None and (back := self.scout.take()) is not None:
            self._backend = back.backend
            told.append(Event("ready", back.describe()))
        return told

    def _ask_gate(
        self, frame: Frame, stage_ms: dict[str, float]
    ) -> tuple[SkipReason | None, dict[str, Any]]:
        """Return why the frame is skipped, and what of its `Result` the gate fills in."""
        if self._gate is None or frame.pixels is None:
            return frame.skip_reason, {}
        begun_ns = time.monotonic_ns()
        found = self._gate.judge(frame.pixels)
        self._lets_pass = found.refusal is None
        stage_ms["gate"] = (time.monotonic_ns() - begun_ns) / 1e6
        said = {"gate": found.score, "unfamiliarity": found.unfamiliarity, "plane": found.plane}
        return found.refusal, said


def work(
    options: EngineOptions,
    endpoints: Endpoints,
    context: "zmq.Context[zmq.Socket[bytes]]",
    stop: Stop,
    ahead: Ahead | None = None,
) -> None:
    """Run the engine process until capture's `end` has passed through it, or `stop` is asked."""
    with (
        # before the engine loads, so that the capture process has somewhere to send to
        open_socket(context, endpoints.frames, bind=False) as frames_socket,
        open_socket(context, endpoints.results, bind=False) as results,
        ExitStack() as stack,
    ):
        opened = (ahead or Ahead()).take(options)
        bundle, student, choice = opened.bundle, opened.student, opened.choice
        exam = open_exam(bundle, student, options.exam)
        second = stack.enter_context(_open_second(options, bundle))
        worker = Worker(
            choice.backend,
            exam,
            options.cam_hz,
            opened.gate,
            second,
            open_familiarity(bundle if student is None else student),
            patient=options.newest_wins and not (options.server and options.server.fallback),
        )
        worker.warm_up(bundle.manifest.preprocessing.size_px)
        give_back()
        results.send(pack(Event("ready", choice.describe())))
        inlet = Inlet(frames_socket, LIVE_WINDOW if options.newest_wins else LOSSLESS_WINDOW)
        reading = ReadAhead(inlet, choice.backend, worker.lets_pass)
        worker.scout = stack.enter_context(_open_scout(options, bundle, choice))
        while not stop():
            for event in worker.events():
                results.send(pack(event))
            received = reading.receive(POLL_MS)
            if received is None:
                results.send(pack(Event("alive")))
                continue
            match received.message:
                case Frame() as frame:
                    wait_ms = (time.monotonic_ns() - received.sent_ns) / 1e6
                    results.send(pack(worker.judge(frame, wait_ms)))
                    if frame.pixels is not None:
                        inlet.give_credit()
                case Event(name="hello"):
                    inlet.begin_again()
                case Event(name="new-exam", fields=fields):
                    worker.begin_exam(open_exam(bundle, student))
                    results.send(pack(Event("exam-begun", fields)))
                case Event(name="end"):
                    return
                case other:
                    results.send(pack(Event("ignored", {"kind": type(other).__name__})))


@contextmanager
def _open_scout(options: EngineOptions, bundle: Bundle, choice: Choice) -> Iterator[Scout | None]:
    """Look for the server that `choice` stands in for; a replay has one engine to its end."""
    if not (choice.stands_in and options.newest_wins and options.server):
        yield None
        return
    scout = look_for(options.server, bundle)
    try:
        yield scout
    finally:
        scout.close()


@contextmanager
def _open_second(options: EngineOptions, bundle: Bundle) -> Iterator[SecondOpinion | None]:
    """Open the ensemble behind its student, if there is one."""
    if options.student is None:
        yield None
        return
    wanted = (options.engine, options.precision, options.members)
    last = (options.avoid, 1, options.server)
    classes, familiarity = len(bundle.manifest.labels), open_familiarity(bundle)
    second: SecondOpinion
    if options.newest_wins:
        threads = count_threads()
        opening = partial(open_engine, bundle, *wanted, threads, *last)
        second = Beside(opening, classes, familiarity)
    else:
        choice = open_engine(bundle, *wanted, options.threads, *last)
        second = AtOnce(choice, classes, familiarity)
    try:
        yield second
    finally:
        second.close()


if __name__ == "__main__":
    ahead = Ahead()
    sys.exit(run_child(partial(work, ahead=ahead), EngineOptions, ahead.open))
