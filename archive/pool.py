"""Workers of this machine: a process each, whose death costs nobody but its own exam."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, Protocol

from neurosono.archive.book import Exam, Outcome
from neurosono.archive.options import Asked
from neurosono.archive.server import hide_main, start_server
from neurosono.engine.contracts.errors import ERRORS_BY_NAME, NeurosonoError, ProcessFailedError

POLL_S = 0.2
"""How often somebody is asked whether to go on while nothing happens."""

STILLBORN = 3
"""Workers that die before they are ready, one after the other: then it is not the exams."""


@dataclass(frozen=True)
class Died:
    """The worker of exam `number` is gone, and with it what it had of the exam."""

    number: int


class Pool(Protocol):
    """Whoever judges exams, some at once."""

    @property
    def free(self) -> int:
        """How many more exams may be begun now."""

    @property
    def busy(self) -> int:
        """How many are under way."""

    def begin(self, exam: Exam) -> None:
        """Begin an exam; there must be one `free`."""

    def wait(self) -> list[Outcome | Died]:
        """Return what was done or died meanwhile; waits `POLL_S` at most."""


@dataclass
class _Worker:
    process: ForkServerProcess
    connection: Connection
    exam: Exam | None = None
    ready: bool = False


class LocalPool:
    """`jobs` processes of this machine; each opens the bundle once, on one thread."""

    def __init__(self, asked: Asked, jobs: int) -> None:
        """Start no worker yet: each is started with the first exam that needs it."""
        self._asked, self._jobs = asked, jobs
        self._context = start_server()
        self._workers: list[_Worker] = []
        self._stillborn = 0

    def __enter__(self) -> "LocalPool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join()

    @property
    def busy(self) -> int:
        """How many exams are under way."""
        return sum(worker.exam is not None for worker in self._workers)

    @property
    def free(self) -> int:
        """How many more may be begun now."""
        return self._jobs - self.busy

    @property
    def pids(self) -> dict[int, int]:
        """The process that judges each exam, by the exam's number."""
        found = ((each.exam, each.process.pid) for each in self._workers)
        return {exam.number: pid for exam, pid in found if exam is not None and pid is not None}

    def begin(self, exam: Exam) -> None:
        """Give an exam to a worker that has none, or to a new one."""
        idle = next((each for each in self._workers if each.exam is None), None)
        worker = idle or self._start()
        worker.exam = exam
        with suppress(OSError):  # it has died meanwhile: `wait` tells
            worker.connection.send(exam)

    def wait(self) -> list[Outcome | Died]:
        """Return what was done or died meanwhile.

        Raises what kept a worker from opening the bundle, and `ProcessFailedError` where none gets
        as far as that.
        """
        heard = wait([each.connection for each in self._workers], POLL_S)
        told = (self._hear(each) for each in list(self._workers) if each.connection in heard)
        return [each for each in told if each is not None]

    def _hear(self, worker: _Worker) -> Outcome | Died | None:
        try:
            said: Any = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(said, Outcome):
            worker.exam = None
            return said
        if said is not None:
            name, sentence = said
            raise ERRORS_BY_NAME.get(name, NeurosonoError)(sentence)
        worker.ready, self._stillborn = True, 0
        return None

    def _bury(self, worker: _Worker) -> Died | None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn == STILLBORN:
                raise ProcessFailedError(
                    f"{STILLBORN} workers died before they were ready (exit code "
                    f"{worker.process.exitcode}): look for too little memory, or give fewer --jobs"
                )
            if worker.exam is not None:
                self.begin(worker.exam)  # it was not the exam's doing
            return None
        return None if worker.exam is None else Died(worker.exam.number)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._asked), daemon=True)
        with hide_main():
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker


def work(connection: Connection, asked: Asked) -> None:
    """Judge exams until there are no more: what a worker runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that began it ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from neurosono.archive.exam import Watch, judge_exam, open_worker

    try:
        opened = open_worker(asked)
    except NeurosonoError as error:
        connection.send((type(error).__name__, str(error)))
        return
    watch = Watch()
    connection.send(None)
    for exam in _receive(connection):
        outcome = judge_exam(exam, opened, asked, watch)
        try:
            connection.send(outcome)
        except OSError:
            return


def _receive(connection: Connection) -> Iterator[Exam]:
    with suppress(EOFError, OSError):
        while True:
            yield connection.recv()
