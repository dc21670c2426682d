"""Sends what capture makes: frames to the engine, pictures to the display, and counts them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from neurosono.engine.contracts.frame import DisplayFrame, Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.stream.capture.lane import Lane
from neurosono.stream.capture.options import Pace
from neurosono.stream.intake.intake import Taken
from neurosono.stream.processes.channel import POLL_MS, Outlet, await_any
from neurosono.stream.processes.child import Stop
from neurosono.stream.processes.wire import Event

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
    """Sends what an intake yields: frames to the engines, pictures to the display."""

    def __init__(
        self,
        frames: Outlet,
        display: Outlet,
        stop: Stop,
        pace: Pace,
        first_index: int = 0,
        readers: Mapping[str, Outlet] = MappingProxyType({}),
        first_seq: int = 0,
    ) -> None:
        """`frames` go to the first engine, and to `readers`, by their names, each its own.

        `first_index` is that of the first picture which this process may see, `first_seq` that of
        its first sampled frame.
        """
        self._next_seq = first_seq
        self._display = display
        self._stop, self._newest_wins = stop, pace.newest_wins
        self._first_index = first_index
        self._first = Lane(frames, self._pump, display.send_always, newest_wins=pace.newest_wins)
        self._readers = {
            name: Lane(outlet, self._pump, self._tell_unread(name), newest_wins=pace.newest_wins)
            for name, outlet in readers.items()
        }
        self._told_ns = 0
        self.counts = CaptureCounts()
        self.tally: Callable[[], Mapping[str, Any]] = dict
        """What the source has to say of what came, beside our own counts."""

    def hear(self, event: Event) -> None:
        """Take what the display process says, of the first engine or of a `reader`.

        `engine-off` stops sending frames to an engine; those that it has not answered, all but
        `answered` from `next_seq` on, go to the display process instead, to be counted there.
        `engine-on` sends frames to the new engine. `new-exam` goes on to every engine, in its turn,
        with the number of the first frame that will be the next exam's.
        `recorded` tells that all before `next_seq` are accounted for: they are forgotten here.
        """
        fields = event.fields
        lane = self._readers[fields["reader"]] if fields.get("reader") else self._first
        if event.name == "engine-on":
            lane.turn_on()
        elif event.name == "new-exam":
            for each in self._lanes():
                each.begin_exam(Event("new-exam", {"first_seq": self._next_seq}))
        elif event.name == "recorded":
            lane.forget(fields["next_seq"])
        elif event.name == "engine-off":
            lane.turn_off(fields["next_seq"], set(fields["answered"]))

    @property
    def unanswered(self) -> int:
        """How many sampled frames are remembered, for nobody has said that they are recorded."""
        return self._first.unanswered

    def send(self, taken: Taken) -> None:
        """Pass one picture on; it carries how long its frame took to `send`."""
        decoded = taken.display.index + 1 - self._first_index
        self.counts.dropped += decoded - self.counts.decoded - 1
        self.counts.decoded = decoded
        begun_ns = time.monotonic_ns()
        stage_ms = dict(taken.display.stage_ms)
        if taken.sampled is not None:
            self.counts.sampled += 1
            self._next_seq = taken.sampled.seq + 1
            self._first.send(taken.sampled)
            stage_ms["send"] = (time.monotonic_ns() - begun_ns) / 1e6
            for name, frame in taken.read.items():
                self._readers[name].send(frame)
        self._send_picture(replace(taken.display, stage_ms=stage_ms))
        self._say_alive()

    def wait(self, timeout_ms: int, news: int | None = None) -> None:
        """Take in credits and words, each as it comes, for at most `timeout_ms`.

        A credit lets a held frame go at once. `news` is a file descriptor that ends the wait.
        """
        outlets = [self._display, *(lane.outlet for lane in self._lanes())]
        await_any(timeout_ms, *outlets, news=news)
        for outlet in outlets:
            outlet.pump(0)
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
        """Send what is still held, then the end: to the engines last, for they end then."""
        for lane in self._lanes():
            lane.flush()
        if self._display.flush(self._stop) is not None:
            self.counts.dropped += 1
            self.counts.displayed -= 1
        end = Event("end", {**self.tally(), **self.counts.__dict__, **fields})
        self._display.send_always(end)
        for lane in self._lanes():
            lane.end(end)
        while not self._stop():  # an engine that dies now still leaves frames to be counted
            self._display.pump(POLL_MS)

    def _lanes(self) -> tuple[Lane, ...]:
        return self._first, *self._readers.values()

    def _tell_unread(self, name: str) -> Callable[[Frame], None]:
        def tell(frame: Frame) -> None:
            self._display.send_always(_describe_unread(frame, name))

        return tell

    def _pump(self) -> bool:
        # the display may be waiting for the answer to a frame that has not left yet
        for lane in self._lanes():
            lane.outlet.pump(0)
        self._display.pump(0)
        return self._stop()

    def _send_picture(self, picture: DisplayFrame) -> None:
        self.counts.displayed += 1
        if self._newest_wins:
            lost = self._display.send_newest(picture) is not None
        else:
            lost = not self._display.send_waiting(picture, self._pump)
        if lost:
            self.counts.displayed -= 1
            self.counts.dropped += 1


def _describe_unread(frame: Frame, name: str) -> ReaderResult:
    """Return the result of a frame that no engine of a reader was there to read."""
    return ReaderResult.of(frame, name, skip_reason=frame.skip_reason, stage_ms=frame.stage_ms)
