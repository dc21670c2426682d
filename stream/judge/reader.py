"""A reader's process: frames in, what its bundle says of each out. It keeps nothing of an exam."""

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import Reader, find_kind
from neurosono.stream.judge.options import ReaderOptions
from neurosono.stream.judge.worker import LIVE_WINDOW, LOSSLESS_WINDOW, POLL_MS
from neurosono.stream.processes.channel import Endpoints, Inlet, open_socket
from neurosono.stream.processes.child import Stop, run_child
from neurosono.stream.processes.heap import give_back
from neurosono.stream.processes.wire import Event, pack

if TYPE_CHECKING:
    import zmq

THREADS = 1
"""Of a reader's network: the other cores belong to the engine that carries the exam."""


def read(
    reader: Reader,
    name: str,
    frame: Frame,
    wait_ms: float = 0.0,
    weeks: float | None = None,
) -> ReaderResult:
    """Say what a reader makes of a frame; `wait_ms` is how long it waited for us.

    `weeks` is the gestational age, where it was told.
    """
    stage_ms = {"wait": wait_ms}
    if frame.pixels is None:
        return ReaderResult.of(frame, name, skip_reason=frame.skip_reason, stage_ms=stage_ms)
    begun_ns = time.monotonic_ns()
    heard = reader.read(frame, weeks)
    stage_ms["network"] = (time.monotonic_ns() - begun_ns) / 1e6
    return ReaderResult.of(
        frame, name, said=heard.said, skip_reason=heard.refusal, stage_ms=stage_ms
    )


def warm_up(reader: Reader, size_px: int) -> None:
    """Read nothing once, as many runtimes compile only when they are first asked."""
    nothing = np.zeros((size_px, size_px), dtype=np.uint8)
    reader.read(Frame("", 0, 0, 0.0, nothing, region_px=(0, 0, size_px, size_px)))


def work(
    options: ReaderOptions,
    endpoints: Endpoints,
    context: "zmq.Context[zmq.Socket[bytes]]",
    stop: Stop,
) -> None:
    """Run a reader's process until capture's `end` has passed through it, or `stop` is asked."""
    with ExitStack() as stack:
        frames, results = (
            stack.enter_context(open_socket(context, endpoint, bind=False))
            for endpoint in (endpoints.of_reader(options.name), endpoints.results)
        )
        bundle = Bundle.load(options.bundle, kind=None, trusted=options.trusted_keys)
        reader = find_kind(bundle).open(bundle, THREADS)
        warm_up(reader, bundle.manifest.preprocessing.size_px)
        give_back()
        me, weeks = {"reader": options.name}, options.weeks
        results.send(pack(Event("reader-ready", me | reader.describe())))
        inlet = Inlet(frames, LIVE_WINDOW if options.newest_wins else LOSSLESS_WINDOW)
        while not stop():
            received = inlet.receive(POLL_MS)
            if received is None:
                results.send(pack(Event("alive", me)))
                continue
            match received.message:
                case Frame() as frame:
                    wait_ms = (time.monotonic_ns() - received.sent_ns) / 1e6
                    results.send(pack(read(reader, options.name, frame, wait_ms, weeks)))
                    if frame.pixels is not None:
                        inlet.give_credit()
                case Event(name="hello"):
                    inlet.begin_again()
                case Event(name="new-exam", fields=fields):
                    weeks = None  # they were the last patient's
                    results.send(pack(Event("exam-begun", me | fields)))
                case Event(name="end"):
                    return
                case other:
                    said = {"kind": type(other).__name__}
                    results.send(pack(Event("ignored", me | said)))


if __name__ == "__main__":
    sys.exit(run_child(work, ReaderOptions))
