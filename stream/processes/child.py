"""What the capture and the engine process have in common: how they start, and how they end."""

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.stream.processes.channel import Endpoints, open_socket, sweep_orphaned
from neurosono.stream.processes.priority import Priority
from neurosono.stream.processes.wire import Event, pack

Options = TypeVar("Options")

EXIT_ORPHANED = 3
"""The exit code of a child whose parent went away."""


class Stop:
    """Whether this process was asked to stop: by SIGTERM, or by `set`."""

    def __init__(self) -> None:
        self._asked = False

    def set(self, *_: object) -> None:
        """Ask for the stop; also fits as a signal handler."""
        self._asked = True

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self._asked


def run_child(
    work: Callable[[Options, Endpoints, "zmq.Context[zmq.Socket[bytes]]", Stop], None],
    options: type[Options],
    prepare: Callable[[Options], None] | None = None,
) -> int:
    """Run a child's work with the options that stand in the first line of standard input.

    Where that line only says what may be needed, `prepare` gets it ready, behind all others in
    priority, and the work is done with the options of the second line, whenever that comes. What
    cannot be prepared is not told before it is needed.

    Standard input stays open as long as the parent lives: at its end the child ends too, so a
    killed parent leaves nothing behind. A foreseen error travels to the parent as the event
    `failed` and gives exit code 1 or 2.
    """
    lines = Lines()
    threading.Thread(target=lines.listen, daemon=True).start()
    told = lines.take()
    if told.get("ahead"):
        assert prepare is not None, "nobody prepares in this role"
        if lines.empty():
            lines.priority.step_back()
        with contextlib.suppress(NeurosonoError):
            prepare(msgspec.convert(told["options"], options))
        lines.priority.come_forward()
        told = lines.take()
    endpoints = msgspec.convert(told["endpoints"], Endpoints)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with zmq.Context() as context:
        try:
            work(msgspec.convert(told["options"], options), endpoints, context, stop)
        except NeurosonoError as error:
            _report(context, endpoints, told["role"], error)
            return error.exit_code
    return 0


class Lines:
    """What the parent says on standard input, a JSON object a line; at its end we end."""

    def __init__(self) -> None:
        self.priority = Priority()
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def take(self) -> dict[str, Any]:
        """Return the next thing said, as soon as it is."""
        told: dict[str, Any] = msgspec.json.decode(self._heard.get())
        return told

    def empty(self) -> bool:
        """Whether nothing was said that was not taken."""
        return self._heard.empty()

    def listen(self) -> None:
        """Hear everything that is said, on a thread of its own."""
        folder: Path | None = None
        rest = b""
        # os.read, not sys.stdin: the buffered reader's lock would stand in the way of a clean exit
        while said := os.read(0, 1 << 16):
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                if folder is not None:  # we are needed, and may still prepare for that
                    self.priority.come_forward()
                told = msgspec.json.decode(line)
                folder = msgspec.convert(told["endpoints"], Endpoints).folder
                self._heard.put(line)
        if folder is not None:
            sweep_orphaned(folder)
        os._exit(EXIT_ORPHANED)


MOST_SAID = 2000
"""Letters of an error that travel."""


def in_one_line(words: object) -> str:
    """Return an error's words in a line that can be shown: libraries write several."""
    line = " ".join(str(words).split())
    return "".join(each for each in line if each.isprintable())[:MOST_SAID]


def _report(
    context: "zmq.Context[zmq.Socket[bytes]]",
    endpoints: Endpoints,
    role: str,
    error: NeurosonoError,
) -> None:
    fields = {"error": type(error).__name__, "message": in_one_line(error), "role": role}
    with open_socket(context, endpoints.results, bind=False) as socket:
        socket.send(pack(Event("failed", fields)))
