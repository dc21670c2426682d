"""What the capture and the engine process have in common: how they start, and how they end."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import zmq

from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.stream.processes.channel import Endpoints, open_socket, sweep_orphaned
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
    prepare: Callable[[Options], None] = lambda _: None,
) -> int:
    """Run a child's work with the options that stand in a line of standard input.

    A line before it may say which are expected, to `prepare` for those. Standard input stays open
    as long as the parent lives: at its end the child ends too, so a killed parent leaves nothing
    behind. A foreseen error travels to the parent as the event `failed` and gives exit code 1 or 2.
    """
    told = hear()
    if told is not None and "expected" in told:
        prepare(msgspec.convert(told["expected"], options))
        told = hear()
    if told is None:  # the parent went away before it had any use for us
        return EXIT_ORPHANED
    endpoints = msgspec.convert(told["endpoints"], Endpoints)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, args=(endpoints,), daemon=True).start()
    with zmq.Context() as context:
        try:
            work(msgspec.convert(told["options"], options), endpoints, context, stop)
        except NeurosonoError as error:
            _report(context, endpoints, told["role"], error)
            return error.exit_code
    return 0


def hear() -> dict[str, Any] | None:
    """Return the next line of what the parent tells; None where it went away."""
    line = sys.stdin.buffer.readline()
    return msgspec.json.decode(line, type=dict[str, Any]) if line else None


def _end_with_parent(endpoints: Endpoints) -> None:
    # os.read, not sys.stdin: the buffered reader's lock would stand in the way of a clean exit.
    while os.read(0, 4096):
        pass
    sweep_orphaned(endpoints.folder)
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
