"""The capture process: source -> region -> sampled frames to the engine, pictures to the display.

What lies outside the ultrasound region never leaves this process.
"""

import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cv2

from engine.contracts.errors import SourceBrokenError
from engine.contracts.frame import DisplayFrame, Frame, SkipReason
from engine.contracts.preprocessing import PreprocessingSpec
from stream.channel import POLL_MS, Outlet, await_any, open_socket
from stream.child import Stop, run_child
from stream.evidence import EvidenceGate
from stream.intake import Intake, Taken
from stream.pace import PacedSource
from stream.region import parse_region
from stream.sampler import Sampler
from stream.screen import Screen
from stream.sources import open_source
from stream.wire import Event

if TYPE_CHECKING:
    import zmq

MAX_UNANSWERED = 65536
"""Sampled frames remembered (without pixels) in case the engine dies before it answers: 18 minutes
at 60 Hz, far longer than a dead engine goes unnoticed."""


@dataclass(frozen=True)
class CaptureOptions:
    """What the capture process is told; travels as JSON.

    `realtime` plays at the source's pace and lets newer frames win; otherwise nothing is lost.
    """

    stream_id: str
    sources: tuple[str, ...]
    preprocessing: PreprocessingSpec
    every: int | None = 1
    rate_hz: float | None = None
    realtime: bool = False
    region: str | None = None
    show_screen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what the child reads."""
        return {
            **self.__dict__,
            "sources": list(self.sources),
            "preprocessing": self.preprocessing.to_json(),
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "CaptureOptions":
        """Read what the parent wrote."""
        spec = PreprocessingSpec.from_json(found["preprocessing"])
        return cls(**{**found, "sources": tuple(found["sources"]), "preprocessing": spec})


@dataclass
class Counts:
    """What became of every picture; `decoded = displayed + dropped`."""

    decoded: int = 0
    displayed: int = 0
    sampled: int = 0
    dropped: int = field(default=0)


class Capture:
    """Sends what an intake yields: frames to the engine, pictures to the display."""

    def __init__(
        self, frames: Outlet, display: Outlet, stop: Stop, *, realtime: bool, paced: bool
    ) -> None:
        """`realtime` lets newer frames win; `paced`: pictures come at their time, as of a clip."""
        self._frames, self._display = frames, display
        self._stop, self._realtime, self._paced = stop, realtime, paced
        self._engine_is_off = False
        self._sent: deque[Frame] = deque(maxlen=MAX_UNANSWERED)
        self._begun_ns: int | None = None
        self.counts = Counts()

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
        """Pass one picture on.

        It carries how long its frame took to `send`, and a paced one how long after it was due it
        was decoded (`behind`): what its age at the display is counted from.
        """
        self.counts.decoded += 1
        begun_ns = time.monotonic_ns()
        stage_ms = dict(taken.display.stage_ms)
        if self._paced and self._begun_ns is not None:
            due_ns = self._begun_ns + int(taken.display.pts_s * 1e9)
            stage_ms["behind"] = (taken.display.captured_ns - due_ns) / 1e6
        if taken.sampled is not None:
            self.counts.sampled += 1
            self._send_frame(taken.sampled)
            stage_ms["send"] = (time.monotonic_ns() - begun_ns) / 1e6
        self._send_picture(replace(taken.display, stage_ms=stage_ms))

    def wait(self, timeout_ms: int, news: int | None = None) -> None:
        """Take in credits and words, each as it comes, for at most `timeout_ms`.

        A credit lets a held frame go at once. `news` is a file descriptor that ends the wait.
        """
        await_any(timeout_ms, self._frames, self._display, news=news)
        self._frames.pump(0)
        self._display.pump(0)

    def tell(self, event: Event) -> None:
        """Say something to the display process."""
        self._display.send_always(event)

    def finish(self, fields: dict[str, Any]) -> None:
        """Send what is still held, then the end, to both."""
        self._frames.flush(self._is_without_engine)
        if self._display.flush(self._stop) is not None:
            self.counts.dropped += 1
            self.counts.displayed -= 1
        end = Event("end", {**self.counts.__dict__, **fields})
        self._frames.send_always(end)
        self._display.send_always(end)
        self._frames.flush(self._is_without_engine)
        while not self._stop():  # an engine that dies now still leaves frames to be counted
            self._display.pump(POLL_MS)

    def wait_until_due(self, pts_s: float) -> None:
        """Wait for the moment `pts_s` of the source; its first picture begins the clock."""
        now_ns = time.monotonic_ns()
        if self._begun_ns is None:
            self._begun_ns = now_ns - int(pts_s * 1e9)
        while (left_ms := (self._begun_ns + int(pts_s * 1e9) - time.monotonic_ns()) / 1e6) > 0:
            if self._stop():
                return
            if left_ms < 1:  # a wait on sockets is of whole milliseconds
                time.sleep(left_ms / 1e3)
            else:
                self.wait(min(10, int(left_ms)))

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
        elif self._realtime:
            displaced = self._frames.send_newest(frame)
            if isinstance(displaced, Frame):
                self._frames.send_always(_skip(displaced, SkipReason.SUPERSEDED))
        else:
            self._frames.send_waiting(frame, self._is_without_engine)

    def _send_picture(self, picture: DisplayFrame) -> None:
        self.counts.displayed += 1
        if self._realtime:
            lost = self._display.send_newest(picture) is not None
        else:
            lost = not self._display.send_waiting(picture, self._pump_and_ask)
        if lost:
            self.counts.displayed -= 1
            self.counts.dropped += 1


def _skip(frame: Frame, reason: SkipReason) -> Frame:
    return replace(frame, pixels=None, skip_reason=reason)


def capture(
    configuration: dict[str, Any], context: "zmq.Context[zmq.Socket[bytes]]", stop: Stop
) -> None:
    """Run the capture process until its source ends, breaks, or `stop` is asked."""
    options = CaptureOptions.from_json(configuration["options"])
    endpoints = configuration["endpoints"]
    cv2.setNumThreads(1)  # the other core belongs to the network
    user_region = None if options.region is None else parse_region(options.region)
    source = open_source(options.sources, frame_threads=not options.realtime)
    with (
        open_socket(context, endpoints["frames"], bind=True) as frames_socket,
        open_socket(context, endpoints["display"], bind=True) as display_socket,
    ):
        sender: Capture

        def hear(event: Event) -> None:
            sender.hear(event)

        frames = Outlet(frames_socket, hear)
        display = Outlet(display_socket, hear)
        sender = Capture(frames, display, stop, realtime=options.realtime, paced=options.realtime)
        opened = {"source": source.description, "rate_hz": source.nominal_rate_hz}
        display.send_always(Event("opened", opened))
        interval_s = 1.0 / source.nominal_rate_hz
        intake = Intake(
            PacedSource(source, interval_s, sender.wait_until_due) if options.realtime else source,
            screen=Screen(user_region, show_screen=options.show_screen, realtime=options.realtime),
            sampler=Sampler(options.every, options.rate_hz),
            gate=EvidenceGate(realtime=options.realtime),
            spec=options.preprocessing,
            stream_id=options.stream_id,
            show_screen=options.show_screen,
        )
        end: dict[str, Any] = {"error": None, "frame": None}
        try:
            for taken in intake.frames():
                if stop():
                    end["error"] = "stopped"
                    break
                sender.send(taken)
        except SourceBrokenError as error:
            end = {"error": str(error), "frame": error.frame}
        sender.finish({**end, "repaired_timestamps": source.repaired_timestamps})


if __name__ == "__main__":
    sys.exit(run_child(capture))
