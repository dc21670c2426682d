"""A child that talks nonsense at its first start, and is the real one from then on.

`$NONSENSE` is `ROLE:WHAT`, `$NONSENSE_ONCE` a file that is there once it was talked.
"""

import os
import runpy
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zmq
from msgspec.structs import replace

from neurosono.engine.contracts.frame import DisplayFrame, Frame
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.processes.channel import Endpoints, Inlet, Outlet, open_socket
from neurosono.stream.processes.child import Lines
from neurosono.stream.processes.wire import HEADER, VERSION, Event, Message, pack

MODULES = {
    "capture": "neurosono.stream.capture.process",
    "engine": "neurosono.stream.judge.worker",
}
READY = Event("ready", {"backend": "openvino", "precision": "f32", "members": 2})
NAMELESS = {"backend": "two words", "precision": "f32", "members": 2, "ensemble": "x"}
PROBABILITIES = np.array([0.2] * 5)


def answer(frame: Frame, **said: Any) -> Result:
    exam = ExamSnapshot(
        PROBABILITIES, np.zeros(5), np.ones(5), (), ExamState.STABLE, frame.seq + 1, 5.0
    )
    members = np.full((2, 5), 0.2, np.float32)
    right = Result.of(frame, exam, probabilities=PROBABILITIES, member_probabilities=members)
    return replace(right, **said)


def nest(depth: int) -> bytes:
    """Return an event whose field lies this deep."""
    body = b"\x82\xa4name\xa5alive\xa6fields\x81\xa1x" + b"\x91" * depth + b"\xc0"
    return HEADER.pack(b"NSNO", VERSION, 4, 0, len(body), 0, 1) + body


def repeat(frame: Frame) -> Iterator[Message]:
    for _ in range(200):
        yield answer(frame)


def invent(frame: Frame) -> Iterator[Message]:
    for number in range(1, 200):
        yield answer(frame, seq=frame.seq + number, captured_ns=frame.captured_ns - number)


OF_ENGINE: dict[str, Callable[[Frame], Any]] = {
    "named": lambda frame: [Event("ready", NAMELESS), answer(frame)],
    "noise": lambda frame: [os.urandom(200)],
    "deep": lambda frame: [nest(100_000)],
    "no-backend": lambda frame: [Event("ready", {"precision": "f32"})],
    "far": lambda frame: [answer(frame, seq=2**62)],
    "below": lambda frame: [answer(frame, seq=-5)],
    "repeated": repeat,
    "invented": invent,
    "stranger": lambda frame: [answer(frame, stream_id="0" * 32)],
    "classes": lambda frame: [answer(frame, probabilities=np.array([0.5, 0.5]))],
    "nan": lambda frame: [answer(frame, probabilities=np.full(5, np.nan))],
    "future": lambda frame: [answer(frame, captured_ns=time.monotonic_ns() + 10**12)],
    "endless": lambda frame: [answer(frame, pts_s=float("inf"))],
    "stage": lambda frame: [answer(frame, stage_ms={"a name": 1.0})],
    "exam": lambda frame: [Event("exam-begun", {"first_seq": 0})] * 66,
    "failed": lambda frame: [Event("failed", {"error": "x", "message": "y", "role": "z"})],
    "picture": lambda frame: [make_picture(frame.stream_id)],
    "frame": lambda frame: [frame],
}


def make_picture(stream_id: str, **said: Any) -> DisplayFrame:
    right = DisplayFrame(
        *(stream_id, 0, time.monotonic_ns(), 0.0, np.zeros((60, 80), np.uint8)), stage_ms={}
    )
    return replace(right, **said)


OF_CAPTURE: dict[str, Callable[[str], list[Any]]] = {
    "noise": lambda stream: [os.urandom(200)],
    "deep": lambda stream: [nest(100_000)],
    "far": lambda stream: [make_picture(stream, index=2**62)],
    "numbered": lambda stream: [make_picture(stream, seq=2**62)],
    "endless": lambda stream: [make_picture(stream, pts_s=float("inf"))],
    "outside": lambda stream: [make_picture(stream, region_px=(0, 0, 900, 900))],
    "stranger": lambda stream: [make_picture(uuid.uuid4().hex)],
    "counts": lambda stream: [Event("alive", {"sampled": "many"})],
    "many": lambda stream: [Event("alive", {"sampled": 2**62})],
    "opened": lambda stream: [Event("opened", {"rate_hz": 25.0})],
    "result": lambda stream: [Event("end", {"sampled": -1})],
}


def talk(role: str, what: str) -> None:
    """Talk nonsense over the real sockets, then stay for as long as the parent lives."""
    lines, told = Lines(), dict[str, Any]()
    threading.Thread(target=lines.listen, daemon=True).start()  # ends with the parent
    while "endpoints" not in told:  # what is only expected comes first
        told = lines.take()
    endpoints = msgspec.convert(told["endpoints"], Endpoints)
    with zmq.Context() as context:
        if role == "engine":
            frames = open_socket(context, endpoints.frames, bind=False)
            results = open_socket(context, endpoints.results, bind=False)
            results.send(pack(READY))
            inlet = Inlet(frames, 1)
            while True:
                received = inlet.receive(100)
                if received is not None and isinstance(received.message, Event):
                    inlet.begin_again()
                if received is not None and isinstance(received.message, Frame):
                    break
                results.send(pack(Event("alive")))
            for message in OF_ENGINE[what](received.message):
                results.send(message if isinstance(message, bytes) else pack(message))
        else:
            frames = open_socket(context, endpoints.frames, bind=True)
            results = open_socket(context, endpoints.display, bind=True)
            display = Outlet(results, lambda event: None)
            display.send_always(Event("hello"))
            stream = told["options"]["stream_id"]
            for message in OF_CAPTURE[what](stream):
                display._backlog.append(message if isinstance(message, bytes) else pack(message))
            display.flush(lambda: False)
        threading.Event().wait()


def main() -> None:
    """Be the child of `$NONSENSE_ROLE`'s module."""
    role, what = os.environ["NONSENSE"].split(":")
    once = Path(os.environ["NONSENSE_ONCE"])
    if once.exists():
        runpy.run_module(MODULES[role], run_name="__main__")
        return
    once.touch()
    talk(role, what)


if __name__ == "__main__":
    main()
