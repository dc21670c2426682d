"""Jobs in order over worker processes, until they are done or the time is over."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from neurosono.scripts.gpu_check.record import Clock

GRACE_S = 3.0
"""Jobs watch the clock themselves; after that long their processes are ended."""


@dataclass(frozen=True)
class Job:
    """A call in a worker: `run(*words)`, begun once the job named `after` has ended well."""

    name: str
    run: Callable[..., Any]
    words: tuple[Any, ...]
    after: str = ""


class Desk:
    """Deals jobs to workers; `hear(job, result, error)` is told of each, and may `add` others.

    A worker that dies takes those beside it along: their jobs are told as failed, and the others go
    on in new workers.
    """

    def __init__(self, workers: int, clock: Clock, prepare: Callable[[], Any] = int) -> None:
        """Begin no job when the time is over; each worker begins with `prepare`."""
        self._workers, self._clock, self._prepare = workers, clock, prepare
        self._waiting: list[Job] = []
        self._running: dict[Future[Any], Job] = {}
        self._well: set[str] = set()
        self._pool = self._open()

    def add(self, *jobs: Job) -> None:
        """Put jobs behind those that wait."""
        self._waiting.extend(jobs)

    def run(self, hear: Callable[[Job, Any, BaseException | None], None]) -> list[str]:
        """Work until all is done or the time is over; return the names of what was not done."""
        try:
            while (self._waiting or self._running) and self._clock.left_s > -GRACE_S:
                self._begin()
                if not self._running:
                    break  # what waits, waits for what never ended well, or the time is over
                ended, _ = wait(self._running, 0.5, FIRST_COMPLETED)
                for future in ended:
                    self._close(future, hear)
            return [job.name for job in (*self._running.values(), *self._waiting)]
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()

    def _open(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, context, self._prepare)

    def _begin(self) -> None:
        while len(self._running) < self._workers and self._clock.left_s > 0:
            ready = (job for job in self._waiting if not job.after or job.after in self._well)
            job = next(ready, None)
            if job is None:
                return
            self._waiting.remove(job)
            try:
                future = self._pool.submit(job.run, *job.words)
            except BrokenProcessPool:
                self._pool = self._open()
                future = self._pool.submit(job.run, *job.words)
            self._running[future] = job

    def _close(
        self, future: Future[Any], hear: Callable[[Job, Any, BaseException | None], None]
    ) -> None:
        job, error = self._running.pop(future), future.exception()
        if error is None:
            self._well.add(job.name)
        hear(job, None if error else future.result(), error)
