"""A node as a whole: it listens, and a worker beside it judges; a worker that dies is replaced."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import OutputError, ProcessFailedError
from neurosono.engine.silence import CHILD
from neurosono.node.clock import ClockWatch
from neurosono.node.commitments import Commitments, tell_request
from neurosono.node.committing import Committing
from neurosono.node.options import Judging, Limits, Listening
from neurosono.node.receiver import Receiver, listen
from neurosono.node.spool import READY, Batch, BatchStanding, Spool
from neurosono.stream.hospital.outbox import Outbox, Row
from neurosono.stream.sources.limits import MediaLimits

POLL_S = 0.2
SWEEP_S = 60.0
STOPPED_S = 600.0
"""A file that did not grow for so long is of a sender that broke off: it has 60 s to go on."""
TOLD = 200
"""Newest batches whose progress is told."""
STILLBORN = 3
"""Workers that die before they are ready, one after the other: then it is not the cines."""
DAY_NS = 86_400 * 10**9
THRIFTY = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(2 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
}
"""glibc gives pictures back that it would keep: with a cine of 276 MB the worker's peak was 474 MB
with these and 537 without, for a twentieth more processor time."""


@dataclass(frozen=True)
class Told:
    """What the node says: its port once it listens, each batch as it goes on, and what else is."""

    listening: Callable[[int], None]
    batch: Callable[[Batch], None]
    words: Callable[[str], None]


def run_node(
    listening: Listening,
    asked: Judging,
    limits: Limits,
    folder: Path,
    told: Told,
    stopped: Callable[[], bool],
) -> None:
    """Serve until `stopped`; raises `InputError` where bundle, folder or port cannot be used."""
    Bundle.load(asked.bundle, trusted=asked.trusted_keys)
    for each in asked.also:
        Bundle.load(each, kind=None, trusted=asked.trusted_keys)
    with (
        Spool(folder) as spool,
        Outbox(folder / "journal.sqlite") as outbox,
        Commitments(folder) as commitments,
    ):
        spool.sweep()
        spool.recover(spool.now_ns())
        receiver = Receiver(spool, limits, MediaLimits(), listening)
        committing = Committing(commitments, listening, asked)
        worker = _Worker(asked, folder)
        try:
            with listen(listening, receiver, spool.incoming, committing) as port, committing:
                told.listening(port)
                seen = {batch.number: batch for batch in spool.batches(TOLD)}
                heard = outbox.list_newest(TOLD)
                known = _tell_commitments(commitments, None, told)
                swept_s = time.monotonic() - SWEEP_S
                clock = ClockWatch()
                while not stopped():
                    worker.keep()
                    for said in (clock.look(), *receiver.refusals.take(time.monotonic())):
                        if said:
                            told.words(said)
                    seen = _tell(spool, seen, told)
                    heard = _tell_steps(outbox, heard, told)
                    known = _tell_commitments(commitments, known, told)
                    if time.monotonic() - swept_s > SWEEP_S:
                        swept_s = time.monotonic()
                        spool.sweep_incoming(STOPPED_S, swept_s)
                        _forget((spool, outbox, commitments), limits, told)
                    time.sleep(POLL_S)
        finally:
            worker.end()


def _forget(queues: tuple[Spool, Outbox, Commitments], limits: Limits, told: Told) -> None:
    kept_ns = round(limits.keep_days * DAY_NS)
    try:
        for each in queues:
            each.forget(each.now_ns() - kept_ns)
    except OutputError as error:  # a full disk: the next sweep tries again
        told.words(str(error))


class _Worker:
    """The worker's process, started again when it dies."""

    def __init__(self, asked: Judging, folder: Path) -> None:
        self._ready = folder / READY
        self._line = msgspec.json.encode({"asked": asked, "folder": str(folder)}) + b"\n"
        self._stillborn = 0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-P", "-X", CHILD, "-m", "neurosono.node.worker"]
        self._ready.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env={**THRIFTY, **os.environ}
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._line)
        self._process.stdin.flush()

    def keep(self) -> None:
        """Start another where it died; raises `ProcessFailedError` where none lives."""
        if self._process.poll() is None:
            return
        self.end()
        self._stillborn = 0 if self._ready.exists() else self._stillborn + 1
        if self._stillborn >= STILLBORN:
            raise ProcessFailedError(
                f"the node's worker died {STILLBORN} times before it was ready: see what it said "
                "above"
            )
        self._start()

    def end(self) -> None:
        """End the process; what it was judging is judged again."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _tell(spool: Spool, seen: dict[int, Batch], told: Told) -> dict[int, Batch]:
    now = {batch.number: batch for batch in spool.batches(TOLD)}
    for number, batch in now.items():
        before = seen.get(number)
        if before is None or (before.standing, before.said) != (batch.standing, batch.said):
            told.batch(batch)
    return now


def _tell_steps(outbox: Outbox, seen: list[Row], told: Told) -> list[Row]:
    now = outbox.list_newest(TOLD)
    known = {(row.exam_id, row.standing, row.tries, row.said) for row in seen}
    for row in reversed(now):
        if (row.exam_id, row.standing, row.tries, row.said) not in known and (
            words := outbox.tell(row, "study")
        ):
            told.words(words)
    return now


def _tell_commitments(
    commitments: Commitments, seen: dict[int, str] | None, told: Told
) -> dict[int, str]:
    now = {each.id: tell_request(each) for each in commitments.list_newest(TOLD)}
    for number, words in now.items():
        if seen is not None and seen.get(number) != words:
            told.words(words)
    return now


def tell_batch(batch: Batch) -> str:
    """Return in a sentence how far a batch is."""
    cines = f"{batch.cines} cine{'s' if batch.cines != 1 else ''}"
    what = f"study {batch.number} ({cines} of {batch.sender})"
    took_s = (batch.changed_ns - batch.began_ns) / 1e9
    match batch.standing:
        case BatchStanding.OPEN:
            return f"{what}: waits: {batch.said}" if batch.said else f"{what}: arriving"
        case BatchStanding.WORKING:
            return f"{what}: being judged"
        case BatchStanding.JUDGED:
            return f"{what}: judged" + (f"; not stored yet: {batch.said}" if batch.said else "")
        case BatchStanding.STORED:
            return f"{what}: results stored {took_s:.1f} s after it began to arrive"
        case BatchStanding.FAILED:
            return f"{what}: failed: {batch.said}"
