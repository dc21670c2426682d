"""The live capture process: the newest picture, always, and word of how things stand."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2

from neurosono.stream.capture.options import LiveCaptureOptions
from neurosono.stream.capture.sender import Capture
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.processes.channel import Outlet, open_socket
from neurosono.stream.processes.child import Stop, run_child
from neurosono.stream.processes.wire import Event
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources.live.source import LiveOptions, LiveSource, open_live

if TYPE_CHECKING:
    import zmq

TAKE_MS = 50
"""How long we wait for a picture, a credit or a word before the stop is asked for again."""

ALIVE_EVERY_NS = 200_000_000


def capture(
    configuration: dict[str, Any], context: "zmq.Context[zmq.Socket[bytes]]", stop: Stop
) -> None:
    """Run the live capture process until `stop` is asked, or the source can never come again.

    The display process may ask for a `finish` first: what is held is then sent, and counted.
    """
    options = LiveCaptureOptions.from_json(configuration["options"])
    endpoints = configuration["endpoints"]
    cv2.setNumThreads(1)  # the other core belongs to the network
    with (
        open_socket(context, endpoints["frames"], bind=True) as frames_socket,
        open_socket(context, endpoints["display"], bind=True) as display_socket,
    ):
        sender: Capture
        finish = Stop()

        def hear(event: Event) -> None:
            if event.name == "finish":
                finish.set()
            sender.hear(event)

        frames, display = Outlet(frames_socket, hear), Outlet(display_socket, hear)
        sender = Capture(frames, display, stop, realtime=True, paced=False)
        for outlet in (frames, display):
            outlet.send_always(Event("hello"))

        def tell(name: str, fields: dict[str, Any]) -> None:
            display.send_always(Event(name, fields))

        with open_live(options.source, options=LiveOptions(on_event=tell)) as source:
            intake = _make_intake(source, options)
            _follow(source, intake, sender, options.first_index, lambda: stop() or finish())
            for taken in intake.flush():
                sender.send(taken)
            sender.finish(source.counts.__dict__)


def _make_intake(source: LiveSource, options: LiveCaptureOptions) -> Intake:
    return Intake(
        source,
        screen=Screen(
            None if options.region is None else parse_region(options.region),
            show_screen=options.show_screen,
            realtime=True,
        ),
        sampler=Sampler(options.every, options.rate_hz),
        gate=EvidenceGate(realtime=True),
        spec=options.preprocessing,
        stream_id=options.stream_id,
        show_screen=options.show_screen,
        first_seq=options.first_seq,
    )


def _follow(
    source: LiveSource,
    intake: Intake,
    sender: Capture,
    first_index: int,
    stop: Callable[[], bool],
) -> None:
    told_ns = 0
    while not stop():
        picture = source.take(0)
        now_ns = time.monotonic_ns()
        if picture is None:
            sender.wait(TAKE_MS, source.fileno())
        else:
            came_ns = now_ns if picture.received_ns is None else picture.received_ns
            counted = replace(picture, index=first_index + picture.index)
            for taken in intake.take(counted, came_ns):
                sender.send(taken)
        if now_ns - told_ns >= ALIVE_EVERY_NS:
            told_ns = now_ns
            counts = {**source.counts.__dict__, **sender.counts.__dict__}
            sender.tell(Event("alive", {**counts, "unanswered": sender.unanswered}))


if __name__ == "__main__":
    sys.exit(run_child(capture))
