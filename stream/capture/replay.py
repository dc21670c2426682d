"""The capture process: source -> region -> sampled frames to the engine, pictures to the display.

What lies outside the ultrasound region never leaves this process.
"""

import sys
from typing import TYPE_CHECKING, Any

import cv2

from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.stream.capture.options import CaptureOptions
from neurosono.stream.capture.pace import PacedSource
from neurosono.stream.capture.sender import Capture
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.processes.channel import Outlet, open_socket
from neurosono.stream.processes.child import Stop, run_child
from neurosono.stream.processes.wire import Event
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources import open_source
from neurosono.stream.sources.left_out import count_reasons, tell_left_out

if TYPE_CHECKING:
    import zmq


def capture(
    configuration: dict[str, Any], context: "zmq.Context[zmq.Socket[bytes]]", stop: Stop
) -> None:
    """Run the capture process until its source ends, breaks, or `stop` is asked."""
    options = CaptureOptions.from_json(configuration["options"])
    endpoints = configuration["endpoints"]
    cv2.setNumThreads(1)  # the other core belongs to the network
    user_region = None if options.region is None else parse_region(options.region)
    source = open_source(
        options.sources,
        frame_threads=not options.realtime,
        strict=options.strict,
        mixed=options.mixed,
    )
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
        left_out = {
            "left_out": count_reasons(source.left_out),
            "told": tell_left_out(source.left_out),
        }
        opened = {"source": source.description, "rate_hz": source.nominal_rate_hz}
        display.send_always(Event("opened", opened | left_out))
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
