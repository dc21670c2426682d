"""The node's hands: a process that judges one batch after the other, and stores what was found.

Run as `python -m neurosono.node.worker`; it reads what it is asked from the first line of standard
input, and ends when standard input does. What kills it costs the batch at hand one try.
"""

import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import msgspec

from neurosono.archive.exam import Watch
from neurosono.bundles import open_bundle
from neurosono.engine.contracts.errors import NeurosonoError, OutputError
from neurosono.node.examine import StudyMaker, open_maker
from neurosono.node.options import Judging
from neurosono.node.order import settle_order
from neurosono.node.spool import READY, Batch, BatchStanding, Spool
from neurosono.node.steps import Steps
from neurosono.node.warm import warm_up
from neurosono.stream.hospital.hush import hush
from neurosono.stream.journal.journal import Journal
from neurosono.stream.processes.heap import give_back
from neurosono.stream.study.send import send_dicom, send_web, write_files

LOOK_S = 0.2
HELD_S = 5.0
"""From one try to the next where the queue cannot be written."""


class Worker:
    """Works off a spool."""

    def __init__(
        self, spool: Spool, asked: Judging, maker: StudyMaker, steps: Steps | None
    ) -> None:
        self._spool, self._asked, self._maker = spool, asked, maker
        self._steps = steps
        self._watch = Watch()

    def step(self, journal: Journal) -> bool:
        """Do what is next; returns whether there was anything to do."""
        for due in self._spool.list_due(self._spool.now_ns()):
            self._send(due)
        batch = self._spool.take(round(self._asked.quiet_s * 1e9), self._spool.now_ns())
        if batch is None:
            return False
        self._judge(batch, journal)
        give_back()
        return True

    def _judge(self, batch: Batch, journal: Journal) -> None:
        out = self._spool.results_of(batch.number)
        try:
            self._settle_order(batch, out)
            if self._steps is not None:
                self._steps.begin(batch.number)
            if not out.exists():  # a kill may have come right after they were made
                self._make_results(batch, journal, out)
        except OutputError as error:
            self._spool.defer(batch.number, str(error), self._spool.now_ns())
            return
        except NeurosonoError as error:
            self._spool.note(batch.number, BatchStanding.FAILED, self._spool.now_ns(), str(error))
            return
        except OSError as error:
            words = f"the system refused a file: {error.strerror or error}"
            self._spool.defer(batch.number, words, self._spool.now_ns())
            return
        self._spool.note(batch.number, BatchStanding.JUDGED, self._spool.now_ns())
        self._send(batch)

    def _settle_order(self, batch: Batch, out: Path) -> None:
        """Have what its step and its results are to name of an order before there are any."""
        worklist = self._asked.worklist
        if worklist is not None and not out.exists():
            folder = self._spool.files_of(batch.number)
            if words := settle_order(folder, worklist, self._asked.charset):
                sys.stderr.write(f"study {batch.number}: {words}\n")

    def _make_results(self, batch: Batch, journal: Journal, out: Path) -> None:
        """Judge a batch; its results are there as a whole or not at all.

        From then on their UIDs stand, so that what is sent twice is the same.
        """
        aside = out.with_suffix(".part")
        for left in aside.glob("*"):
            left.unlink()
        folder = self._spool.files_of(batch.number)
        with tempfile.TemporaryFile(dir=aside.parent) as pixels:
            write_files(self._maker.make(folder, journal, self._watch, pixels), aside)
        aside.rename(out)

    def _send(self, batch: Batch) -> None:
        node, stow = self._asked.find_node(batch.sender), self._asked.stow
        if node is None and stow is None:
            words = f"no --route is given for {batch.sender}, and no --send or --stow"
            self._spool.note(batch.number, BatchStanding.FAILED, self._spool.now_ns(), words)
            return
        paths = sorted(self._spool.results_of(batch.number).glob("*.dcm"))
        try:
            if not paths:
                raise OutputError("its results are gone")
            if node is not None:
                send_dicom(paths, node)
            elif stow is not None:
                send_web(paths, stow, self._asked.stow_tls)
        except NeurosonoError as error:
            self._spool.postpone(batch.number, str(error), self._spool.now_ns())
            return
        self._spool.note(batch.number, BatchStanding.STORED, self._spool.now_ns())
        if self._steps is None:
            self._spool.forget_files(batch.number)
        else:
            self._steps.let_go(batch.number)


def main() -> int:
    """Work until standard input ends."""
    hush()
    told = msgspec.json.decode(sys.stdin.buffer.readline())
    asked, folder = msgspec.convert(told["asked"], Judging), Path(told["folder"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    opened = open_bundle(asked.bundle, trusted_keys=asked.trusted_keys)
    warm_up(opened, asked, folder / "warm")
    maker = open_maker(opened, asked, folder / "journal.sqlite")
    give_back()
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(folder))
        journal = stack.enter_context(maker.examiner.open_journal())
        steps = None if asked.mpps is None else stack.enter_context(Steps(spool, asked.mpps))
        spool.recover(spool.now_ns())
        (folder / READY).touch(mode=0o600)
        worker = Worker(spool, asked, maker, steps)
        _work(worker, spool, journal)


def _work(worker: Worker, spool: Spool, journal: Journal) -> NoReturn:
    """Work for ever; a queue that cannot be written now, as on a full disk, is tried again."""
    held = False
    while True:
        try:
            if held:
                spool.reopen()
                held = False
            if not worker.step(journal):
                time.sleep(LOOK_S)
        except OutputError as error:
            if not held:
                sys.stderr.write(f"{error}: tried again every {HELD_S:g} s\n")
            held = True
            time.sleep(HELD_S)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
