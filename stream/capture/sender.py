"""Sends what capture makes: frames to the engine, pictures to the display, and counts them."""

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.stream.capture.options import Pace
from neurosono.stream.intake.intake import Taken
from neurosono.stream.processes.channel import POLL_MS, Outlet, await_any
from neurosono.stream.processes.child import Stop
from neurosono.stream.processes.wire import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_UNANSWERED = 65536
"""Sampled frames remembered (without pixels) in case the engine dies before it answers: 18 minutes
at 60 Hz, far longer than a dead engine goes unnoticed."""


ALIVE_EVERY_NS = 200_000_000


@dataclass
class CaptureCounts:
    """What became of every picture; `decoded = displayed + dropped`.

    What a source decoded and overwrote before it was taken is decoded and dropped, too.
    """

    decoded: int = 0
    displayed: int = 0
    sampled: int = 0
    dropped: int = 0


class Capture:
    """Sends what an intake yields: frames to the engine, pictures to the display."""

    def __init__(
        self, frames: Outlet, display: Outlet, stop: Stop, pace: Pace, first_index: int = 0
    ) -> None:
        """`first_index` is that of the first picture which this process may see."""
        self._frames, self._display = frames, display
        self._stop, self._newest_wins = stop, pace.newest_wins
        self._first_index = first_index
        self._engine_is_off = False
        self._sent: deque[Frame] = deque(maxlen=MAX_UNANSWERED)
        self._told_ns = 0
        self.counts = CaptureCounts()
        self.tally: Callable[[], Mapping[str, Any]] = dict
        """What the source has to say of what came, beside our own counts."""

    def hear(self, event: Event) -> None:
        """Take what the display process says.

        `engine-off` stops sending frames to the engine; those that it has not answered, all but
        `answered` from `next_seq` on, go to the display process instead, to be counted there.
        `engine-on` sends frames to the new engine; `new-exam` goes on to it, in its turn.
        `recorded` tells that all before `next_seq` are accounted for: they are forgotten here.
        """
        if event.name == "engine-on":
            self._engine_is_off = False
            self._sent.clear()
        elif event.name == "new-exam":
            self._frames.send_always(event)
        elif event.name == "recorded":
            while self._sent and self._sent[0].seq < event.fields["next_seq"]:
                self._sent.popleft()
        elif event.name == "engine-off" and not self._engine_is_off:
            self._turn_engine_off(event)

    @property
    def unanswered(self) -> int:
        """How many sampled frames are remembered, for nobody has said that they are recorded."""
        return len(self._sent)

    def _turn_engine_off(self, event: Event) -> None:
        self._engine_is_off = True
        self._frames.forget_frames()  # or the next engine would judge what is counted here
        answered, next_seq = set(event.fields["answered"]), event.fields["next_seq"]
        for frame in self._sent:
            if frame.seq >= next_seq and frame.seq not in answered:
                self._display.send_always(frame)

    def send(self, taken: Taken) -> None:
        """Pass one picture on; it carries how long its frame took to `send`."""
        decoded = taken.display.index + 1 - self._first_index
        self.counts.dropped += decoded - self.counts.decoded - 1
        self.counts.decoded = decoded
        begun_ns = time.monotonic_ns()
        stage_ms = dict(taken.display.stage_ms)
        if taken.sampled is not None:
            self.counts.sampled += 1
            self._send_frame(taken.sampled)
            stage_ms["send"] = (time.monotonic_ns() - begun_ns) / 1e6
        self._send_picture(replace(taken.display, stage_ms=stage_ms))
        self._say_alive()

    def wait(self, timeout_ms: int, news: int | None = None) -> None:
        """Take in credits and words, each as it comes, for at most `timeout_ms`.

        A credit lets a held frame go at once. `news` is a file descriptor that ends the wait.
        """
        await_any(timeout_ms, self._frames, self._display, news=news)
        self._frames.pump(0)
        self._display.pump(0)
        self._say_alive()

    def _say_alive(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns >= ALIVE_EVERY_NS:
            self._told_ns = now_ns
            counts = {**self.tally(), **self.counts.__dict__, "unanswered": self.unanswered}
            self.tell(Event("alive", counts))

    def tell(self, event: Event) -> None:
        """Say something to the display process."""
        self._display.send_always(event)

    def finish(self, fields: dict[str, Any]) -> None:
        """Send what is still held, then the end: to the engine last, for it ends then."""
        self._frames.flush(self._is_without_engine)
        if self._display.flush(self._stop) is not None:
            self.counts.dropped += 1
            self.counts.displayed -= 1
        end = Event("end", {**self.tally(), **self.counts.__dict__, **fields})
        self._display.send_always(end)
        self._frames.send_always(end)
        self._frames.flush(self._is_without_engine)
        while not self._stop():  # an engine that dies now still leaves frames to be counted
            self._display.pump(POLL_MS)

    def _pump_and_ask(self) -> bool:
        # the display may be waiting for the answer to a frame that has not left yet
        self._frames.pump(0)
        return self._stop()

    def _is_without_engine(self) -> bool:
        self._display.pump(0)
        return self._engine_is_off or self._stop()

    def _send_frame(self, frame: Frame) -> None:
        if self._is_without_engine():
            reason = frame.skip_reason or SkipReason.ENGINE_OFF
            self._display.send_always(_skip(frame, reason))
            return
        self._sent.append(_skip(frame, frame.skip_reason or SkipReason.ENGINE_OFF))
        if frame.skip_reason is not None:
            self._frames.send_always(frame)
        elif self._newest_wins:
            displaced = self._frames.send_newest(frame)
            if isinstance(displaced, Frame):
                self._frames.send_always(_skip(displaced, SkipReason.SUPERSEDED))
        else:
            self._frames.send_waiting(frame, self._is_without_engine)

    def _send_picture(self, picture: DisplayFrame) -> None:
        self.counts.displayed += 1
        if self._newest_wins:
            lost = self._display.send_newest(picture) is not None
        else:
            lost = not self._display.send_waiting(picture, self._pump_and_ask)
        if lost:
            self.counts.displayed -= 1
            self.counts.dropped += 1


def _skip(frame: Frame, reason: SkipReason) -> Frame:
    return replace(frame, pixels=None, skip_reason=reason)
