"""An archive from its listing to its tables: what is done is done once, what failed is told."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from heapq import heappop, heappush
from typing import Any

from neurosono.archive.book import Book, Exam, Outcome
from neurosono.archive.listing import list_exams
from neurosono.archive.options import ArchiveOptions, Asked
from neurosono.archive.pool import Died, LocalPool, Pool
from neurosono.archive.tables import Tally, load_parquet, write_tables
from neurosono.engine.bundle import Bundle, write_json
from neurosono.engine.contracts.errors import InputError, RunError, StoppedError
from neurosono.engine.contracts.notice import NOTICE

DEATHS = 2
"""A worker's death may be bad luck; the second one, with no other exam beside it, is the exam's."""

LOOKED_AHEAD = 64
"""Exams among which the largest is sought; fewer than so many left: all of them."""

SUMMARY_NAME = "summary.json"


@dataclass(frozen=True)
class Progress:
    """How far an archive is: exams listed, done, and of those failed."""

    listed: int
    done: int
    failed: int


def run_archive(
    options: ArchiveOptions,
    asked: Asked,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge all that is not done yet, write the tables, and return what `summary.json` holds.

    Raises `InputError` before anything is begun; `RunError` where exams failed, `StoppedError` at a
    Ctrl-C. Then what was done is kept, and the tables tell of it.
    """
    bundle = Bundle.load(asked.bundle, trusted=asked.trusted_keys)
    asked = replace(asked, bundle=str(bundle.root), digest=bundle.manifest.digest)
    begun_s = time.monotonic()
    with closing(Book(options.out)) as book:
        book.agree(asked.to_json())
        book.take(list_exams(options))
        if not book.count()[0]:
            raise InputError("no exam was found: name a folder, or a table, that holds some")
        if options.again:
            book.forgive()
        before = book.count()[1]
        stopped = False
        try:
            _judge_all(book, options, asked, on_progress)
        except KeyboardInterrupt:
            stopped = True
        tally = write_tables(options.out, book, bundle.manifest.labels)
        took_s = time.monotonic() - begun_s
        summary = _summarise(book, bundle, asked, tally) | {"complete": tally.is_whole}
        write_json(options.out / SUMMARY_NAME, summary)
        done_now = book.count()[1] - before
        _load_end()(options.out, summary, tally, {"exams": done_now, "seconds": took_s})
    _raise_trouble(options, tally, stopped=stopped)
    return summary


@cache
def _load_end() -> Callable[..., None]:
    """Import what only the end needs, and return what writes the page."""
    from neurosono.archive.page import write_page

    load_parquet()
    return write_page


def _raise_trouble(options: ArchiveOptions, tally: Tally, *, stopped: bool) -> None:
    if stopped:
        raise StoppedError(
            f"stopped after {tally.done} of {tally.listed} exams: give the same command to go on"
        )
    if tally.failed:
        raise RunError(
            f"{tally.failed} of {tally.listed} exams failed, the rest is done: "
            f"{options.out / 'failures.csv'} says why of each; --again does them once more"
        )


def _summarise(book: Book, bundle: Bundle, asked: Asked, tally: Tally) -> dict[str, Any]:
    listed, done, failed = book.count()
    return {
        "notice": NOTICE,
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.manifest.digest},
        "asked": asked.to_json(),
        "exams": {"listed": listed, "done": done, "failed": failed},
        **tally.describe(),
    }


def _judge_all(
    book: Book,
    options: ArchiveOptions,
    asked: Asked,
    on_progress: Callable[[Progress], None],
) -> None:
    counted = _Counted(book, on_progress)
    if options.cluster is None:
        with LocalPool(asked, options.count_jobs()) as pool:
            _judge_on(pool, book, options, counted)
        return
    from neurosono.archive.cluster import ClusterPool
    from neurosono.engine.cluster import join_cluster

    with join_cluster(options.cluster, options.count_jobs()) as ray:
        _judge_on(ClusterPool(ray, asked, options.jobs), book, options, counted)


class _Counted:
    """Counts as it is written, and tells: counting in the book would take ever longer."""

    def __init__(self, book: Book, on_progress: Callable[[Progress], None]) -> None:
        self._book, self._on_progress = book, on_progress
        self._now = Progress(*book.count())
        on_progress(self._now)

    def note_all(self, told: list[Outcome | Died]) -> None:
        """Write down what became of some exams, at once: 64 cores end more than a disk flushes."""
        with self._book.together():
            for each in told:
                self._note(each)
        self._on_progress(self._now)

    def _note(self, what: Outcome | Died) -> None:
        """The second death of an exam's worker is its failure."""
        if isinstance(what, Died):
            if self._book.note_death(what.number) < DEATHS:
                return
            why = f"its worker died {DEATHS} times: by a decoder, for want of memory, or hanging"
            what = Outcome(what.number, "WorkerDied", why)
        failed_before = self._book.write(what)
        self._now = replace(
            self._now,
            done=self._now.done + (not failed_before),
            failed=self._now.failed - failed_before + (what.failure is not None),
        )


def largest_first(exams: Iterator[Exam]) -> Iterator[Exam]:
    """Yield the largest of the next `LOOKED_AHEAD` exams, each time.

    What is long and begun last would keep one core busy while the others have nothing left.
    """
    held: list[tuple[int, int, Exam]] = []
    for exam in exams:
        heappush(held, (-_weigh(exam), exam.number, exam))
        if len(held) == LOOKED_AHEAD:
            yield heappop(held)[2]
    while held:
        yield heappop(held)[2]


def _weigh(exam: Exam) -> int:
    """Return the bytes of an exam's files; what cannot be read weighs nothing, and fails fast."""
    total = 0
    for source in exam.sources:
        with suppress(OSError, ValueError):
            if os.path.isdir(source):  # noqa: PTH112 (any bytes, no object a file)
                with os.scandir(source) as entries:
                    total += sum(entry.stat().st_size for entry in entries if entry.is_file())
            else:
                total += os.stat(source).st_size  # noqa: PTH116
    return total


def _judge_on(pool: Pool, book: Book, options: ArchiveOptions, counted: _Counted) -> None:
    """Judge all exams, then those whose worker died, one by one, so that none is blamed wrongly."""
    waiting = largest_first(book.list_waiting(0, again=options.again))
    _drain(pool, waiting, counted.note_all, at_once=None)
    _drain(pool, book.list_waiting(1, again=options.again), counted.note_all, at_once=1)


def _drain(
    pool: Pool,
    waiting: Iterator[Exam],
    note_all: Callable[[list[Outcome | Died]], None],
    at_once: int | None,
) -> None:
    told: list[Outcome | Died] = []
    more = True
    while more or pool.busy or told:
        while more and pool.free and (at_once is None or pool.busy < at_once):
            exam = next(waiting, None)
            more = exam is not None
            if exam is not None:
                pool.begin(exam)
        _load_end()  # once, while the workers open the bundle, and nobody waits for it
        if told:  # written to the disk while whoever told works on the next one
            note_all(told)
        told = pool.wait() if pool.busy else []
