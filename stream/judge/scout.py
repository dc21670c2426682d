"""Whether a server that failed is back, while an engine of this host stands in for it."""

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from neurosono.engine.backends import REMOTE
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import Choice, open_engine
from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.engine.contracts.server import Server

CALM = 3
"""Answers in a row, each in time, before it is believed: one that starts answers the first late."""

BETWEEN_S, AGAIN_S = 0.5, 2.0
"""How long after an answer it is asked again, and how long after none."""


class Scout:
    """Asks a server, on a thread of its own, what a black picture shows, until all goes well."""

    def __init__(self, open_server: Callable[[], Choice], size_px: int, rest_s: float) -> None:
        """Begin after `rest_s`, with pictures of `size_px`."""
        self._open, self._rest_s = open_server, rest_s
        self._nothing = np.zeros((1, size_px, size_px), np.uint8)
        self._closing = threading.Event()
        self._found: Choice | None = None
        # a daemon: it waits for a socket, and nobody is to wait for it
        threading.Thread(target=self._run, name="scout", daemon=True).start()

    def take(self) -> Choice | None:
        """Return the server's engine once it is back; then no more."""
        found, self._found = self._found, None
        return found

    def close(self) -> None:
        """Ask no more."""
        self._closing.set()

    def _run(self) -> None:
        choice: Choice | None = None
        calm, rest_s = 0, self._rest_s
        while not self._closing.wait(rest_s):
            try:
                choice = choice or self._open()
                choice.backend.infer(self._nothing)
            except NeurosonoError:  # away, or it holds another bundle now
                calm, rest_s = 0, AGAIN_S
                continue
            calm, rest_s = calm + 1, BETWEEN_S
            if calm == CALM:
                self._found = choice
                return


def look_for(server: Server, bundle: Bundle) -> Scout:
    """Begin to look whether `server` is back with `bundle`."""

    def open_server() -> Choice:
        choice = open_engine(bundle, REMOTE, server=replace(server, fallback=False, waits=False))
        return replace(choice, reason="asked for; it failed in this session and is back")

    return Scout(open_server, bundle.manifest.preprocessing.size_px, server.rest_s)
