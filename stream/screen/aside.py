"""Work that no picture waits for: done beside them, and its answer taken a few pictures later."""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

NICE = 19
"""Of the thread, where age counts."""

GRACE_S = 0.015
"""After which the work begins where age counts: one picture has been prepared by then, and is
being judged or was, and the next has not come."""

LATER = 2
"""Pictures after which an answer is taken: 67 ms at 30 Hz, for work of 2 to 10 when undisturbed."""


OVERDUE = 30
"""Pictures that do not wait for an answer that is due, where age counts: on a busy host a thread
that gives way may get no time for seconds. Then whoever asks does the work."""


class Aside(Generic[T]):
    """One piece of work at a time, on a thread of its own.

    The answer comes a fixed number of pictures later, not when it is ready, so that every replay of
    one exam takes the same decisions. Where it is not ready by then a replay waits for it; in real
    time no picture does: it comes with a later one.
    """

    def __init__(self, realtime: bool = False) -> None:
        """In real time the work waits until the picture at hand is on its way, and gives way."""
        self._realtime = realtime
        self._threads: ThreadPoolExecutor | None = None
        self._begun: Future[T] | None = None
        self._work: Callable[[], T] | None = None
        self._left = 0

    def begin(self, work: Callable[[], T]) -> None:
        """Begin on `work` with this picture, in place of what is under way.

        In real time what is overdue stays under way: else nothing would ever be done.
        """
        self._work = work
        if self._realtime and self._begun is not None and not self._begun.done():
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "aside", _step_back if self._realtime else None)
        self._begun = self._threads.submit(_do, work, GRACE_S if self._realtime else 0.0)
        self._left = LATER

    def take(self) -> T | None:
        """Return the answer where it is due with this picture; asked once a picture.

        Raises what the work raised.
        """
        if self._begun is None:
            return None
        self._left -= 1
        late = self._realtime and not self._begun.done()
        if self._left >= 0 or (late and self._left > -OVERDUE):
            return None
        begun, self._begun = self._begun, None
        if late and self._work is not None:
            begun.cancel()
            return self._work()
        return begun.result()

    def drop(self) -> None:
        """Forget what is under way: its answer is about how things were."""
        self._begun = None


def _do(work: Callable[[], T], grace_s: float) -> T:
    time.sleep(grace_s)
    return work()


def _step_back() -> None:
    """Let the network go first where both want a core."""
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
