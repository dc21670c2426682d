"""Work that no picture waits for: done beside them, and its answer taken a few pictures later."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

LATER = 2
"""Pictures after which an answer is taken: 67 ms at 30 Hz, for work that takes 5 to 20."""


class Aside(Generic[T]):
    """One piece of work at a time, on a thread of its own.

    The answer comes a fixed number of pictures later, not when it is ready, so that every replay of
    one exam takes the same decisions. Whoever would have it sooner waits.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._begun: Future[T] | None = None
        self._left = 0

    def begin(self, work: Callable[[], T]) -> None:
        """Begin on `work` with this picture, in place of what is under way."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "aside")
        self._begun, self._left = self._threads.submit(work), LATER

    def take(self) -> T | None:
        """Return the answer where it is due with this picture; asked once a picture.

        Raises what the work raised.
        """
        if self._begun is None:
            return None
        if self._left:
            self._left -= 1
            return None
        done, self._begun = self._begun.result(), None
        return done

    def drop(self) -> None:
        """Forget what is under way: its answer is about how things were."""
        self._begun = None
