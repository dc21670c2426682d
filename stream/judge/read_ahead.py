"""Frames of a replay, read before their turn, so that several are judged at once."""

from collections import deque
from collections.abc import Callable

from neurosono.engine.backends import Ahead, Backend
from neurosono.engine.contracts.frame import Frame
from neurosono.stream.processes.channel import Inlet
from neurosono.stream.processes.wire import Received

STREAMS = 2
"""Frames judged at once in a replay. With a core each, two cost a fifth less CPU than one on both
cores, and the network need not wait for what is done with its answer."""


class ReadAhead:
    """Hands on what an inlet receives, in order, while the backend works on what comes next."""

    def __init__(self, inlet: Inlet, backend: Backend, is_wanted: Callable[[], bool]) -> None:
        """Read as many messages ahead as `backend` takes; most take none.

        While `is_wanted` says no, nothing is begun: it would most likely be in vain.
        """
        self._inlet, self._is_wanted = inlet, is_wanted
        self._backend = backend if isinstance(backend, Ahead) and backend.ahead else None
        self._depth = 1 if self._backend is None else self._backend.ahead
        self._held: deque[Received] = deque()

    def receive(self, timeout_ms: int) -> Received | None:
        """Return the next message, or None after `timeout_ms`."""
        while len(self._held) < self._depth:
            received = self._inlet.receive(0 if self._held else timeout_ms)
            if received is None:
                break
            self._held.append(received)
            match received.message:
                case Frame(pixels=pixels) if pixels is not None and self._backend is not None:
                    if self._is_wanted():
                        self._backend.begin(pixels)
        return self._held.popleft() if self._held else None
