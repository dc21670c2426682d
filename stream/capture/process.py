"""The capture process: source -> region -> sampled frames to the engine, pictures to the display.

What lies outside the ultrasound region never leaves this process.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2

from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.engine.contracts.frame import take_scale
from neurosono.stream.capture.layout import Layout
from neurosono.stream.capture.options import CaptureOptions, Pace
from neurosono.stream.capture.sender import Capture
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import Picture, Source
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.processes.channel import Endpoints, Outlet, open_socket
from neurosono.stream.processes.child import Stop, run_child
from neurosono.stream.processes.heap import give_back
from neurosono.stream.processes.legacy import Legacy
from neurosono.stream.processes.wire import Event
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources import ExamSource, open_source
from neurosono.stream.sources.left_out import count_reasons, tell_left_out
from neurosono.stream.sources.live.recording import play
from neurosono.stream.sources.live.source import LiveOptions, LiveSource, open_live

if TYPE_CHECKING:
    import zmq

TAKE_MS = 50
"""How long we wait for a picture, a credit or a word before the stop is asked for again."""


class Newest:
    """A `Source` of the newest picture, again and again, while words and credits come in."""

    def __init__(
        self, source: LiveSource, sender: Capture, first_index: int, stopped: Callable[[], bool]
    ) -> None:
        self._source, self._sender = source, sender
        self._first_index, self._stopped = first_index, stopped
        self.description = source.description

    def pictures(self) -> Iterator[Picture]:
        """Yield what comes until the source is over or a stop is asked; raises as it does."""
        while not self._stopped():
            picture = self._source.take(0)
            if picture is not None:
                yield replace(picture, index=self._first_index + picture.index)
            elif self._source.is_over:
                return
            else:
                self._sender.wait(TAKE_MS, self._source.fileno())


def capture(
    options: CaptureOptions,
    endpoints: Endpoints,
    context: "zmq.Context[zmq.Socket[bytes]]",
    stop: Stop,
    legacy: Legacy | None = None,
) -> None:
    """Run the capture process until its source ends, breaks, or `stop` is asked.

    The display process may ask for a `finish` first: what is held is then sent, and counted. Of a
    live source it goes on where the process before it stopped, by the `legacy` of that.
    """
    cv2.setNumThreads(1)  # the other core belongs to the network
    with ExitStack() as stack:
        finish = Stop()
        sender: Capture

        def hear(event: Event) -> None:
            if event.name == "finish":
                finish.set()
            sender.hear(event)

        frames, display = (
            Outlet(stack.enter_context(open_socket(context, endpoint, bind=True)), hear)
            for endpoint in (endpoints.frames, endpoints.display)
        )
        if options.pace is not Pace.LIVE:
            stack.enter_context(options.limits.hold_memory())
        readers = {
            name: Outlet(
                stack.enter_context(open_socket(context, endpoints.of_reader(name), bind=True)),
                hear,
            )
            for name in options.readers
        }
        first = options.first_index, readers, options.first_seq
        sender = Capture(frames, display, stop, options.pace, *first)
        if options.pace is Pace.LOSSLESS:
            recording = _open_recording(options, sender)
            _send_all(recording, recording, sender, options, stop)
            return
        for outlet in (frames, display, *readers.values()):
            outlet.send_always(Event("hello"))
        recorded, live = _open_newest(options, sender, legacy)
        stack.enter_context(live)
        sender.tally = lambda: live.counts.__dict__
        newest = Newest(live, sender, options.first_index, lambda: stop() or finish())
        _send_all(newest, recorded, sender, options, stop)


def _open_recording(options: CaptureOptions, sender: Capture) -> ExamSource:
    recording = open_source(
        options.sources,
        frame_threads=options.pace is Pace.LOSSLESS,
        strict=options.strict,
        mixed=options.mixed,
        limits=options.limits,
    )
    opened = {
        "source": recording.description,
        "rate_hz": recording.nominal_rate_hz,
        "left_out": count_reasons(recording.left_out),
        "told": tell_left_out(recording.left_out),
    }
    sender.tell(Event("opened", opened))
    return recording


def _open_newest(
    options: CaptureOptions, sender: Capture, legacy: Legacy | None
) -> tuple[ExamSource | None, LiveSource]:
    """Open a link, or a recording that plays as one would."""

    def hear(name: str, fields: dict[str, Any]) -> None:
        sender.tell(Event(name, fields))

    heard = LiveOptions(on_event=hear, legacy=legacy)
    if options.pace is Pace.LIVE:
        return None, open_live(options.sources[0], options=heard)
    recording = _open_recording(options, sender)
    return recording, play(recording, heard)


def _send_all(
    source: Source,
    recording: ExamSource | None,
    sender: Capture,
    options: CaptureOptions,
    stop: Stop,
) -> None:
    """Send what comes of `source`, and how it ended; only a `recording` may break in its middle."""
    end: dict[str, Any] = {"error": None, "frame": None}
    layout, settled = Layout(), False
    try:
        for taken in _make_intake(source, options).frames():
            if stop():
                end["error"] = "stopped"
                break
            for event in layout.hear(taken.region):
                sender.tell(event)
            sender.send(taken)
            if not settled and taken.region is not None:
                settled = True
                give_back()  # what the search for the region took
    except SourceBrokenError as error:
        if recording is None:
            raise
        end = {"error": str(error), "frame": error.frame}
    if recording is not None:
        end["repaired_timestamps"] = recording.repaired_timestamps
    sender.finish(end)


def _make_intake(source: Source, options: CaptureOptions) -> Intake:
    newest_wins = options.pace.newest_wins
    region = None if options.region is None else parse_region(options.region)
    return Intake(
        source,
        screen=Screen(region, show_screen=options.show_screen, realtime=newest_wins),
        sampler=Sampler(options.every, options.rate_hz),
        gate=EvidenceGate(realtime=newest_wins),
        spec=options.preprocessing,
        readers=options.readers,
        realtime=newest_wins,
        stream_id=options.stream_id,
        show_screen=options.show_screen,
        first_seq=options.first_seq,
        scale=take_scale(options.mm_per_px),
    )


if __name__ == "__main__":
    inherited = Legacy.at(int(sys.argv[1])) if sys.argv[1:] else None
    sys.exit(run_child(partial(capture, legacy=inherited), CaptureOptions))
