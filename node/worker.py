"""The node's hands: a process that judges one batch after the other, and stores what was found.

Run as `python -m neurosono.node.worker`; it reads what it is asked from the first line of standard
input, and ends when standard input does. What kills it costs the batch at hand one try.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from neurosono.archive.exam import Watch
from neurosono.bundles import open_bundle
from neurosono.engine.contracts.errors import NeurosonoError, OutputError
from neurosono.node.examine import Examiner
from neurosono.node.options import Judging
from neurosono.node.spool import READY, Batch, Spool, Standing
from neurosono.node.warm import warm_up
from neurosono.stream.journal.journal import Journal
from neurosono.stream.processes.heap import give_back
from neurosono.stream.study.send import send_dicom, write_files

LOOK_S = 0.2


class Worker:
    """Works off a spool."""

    def __init__(self, spool: Spool, asked: Judging, examiner: Examiner) -> None:
        self._spool, self._asked, self._examiner = spool, asked, examiner
        self._watch = Watch()

    def step(self, journal: Journal) -> bool:
        """Do what is next; returns whether there was anything to do."""
        for due in self._spool.list_due(time.time_ns()):
            self._send(due)
        batch = self._spool.take(round(self._asked.quiet_s * 1e9), time.time_ns())
        if batch is None:
            return False
        self._judge(batch, journal)
        give_back()
        return True

    def _judge(self, batch: Batch, journal: Journal) -> None:
        out = self._spool.results_of(batch.number)
        try:
            if not out.exists():  # a kill may have come right after they were made
                self._make_results(batch, journal, out)
        except NeurosonoError as error:
            self._spool.note(batch.number, Standing.FAILED, time.time_ns(), str(error))
            return
        except OSError as error:
            words = f"the system refused a file: {error.strerror or error}"
            self._spool.note(batch.number, Standing.FAILED, time.time_ns(), words)
            return
        self._spool.note(batch.number, Standing.JUDGED, time.time_ns())
        self._send(batch)

    def _make_results(self, batch: Batch, journal: Journal, out: Path) -> None:
        """Judge a batch; its results are there as a whole or not at all.

        From then on their UIDs stand, so that what is sent twice is the same.
        """
        aside = out.with_suffix(".part")
        for left in aside.glob("*"):
            left.unlink()
        folder = self._spool.files_of(batch.number)
        with tempfile.TemporaryFile(dir=aside.parent) as pixels:
            write_files(self._examiner.examine(folder, journal, self._watch, pixels), aside)
        aside.rename(out)

    def _send(self, batch: Batch) -> None:
        node = self._asked.find_node(batch.sender)
        if node is None:
            words = f"no --route is given for {batch.sender}, and no --send"
            self._spool.note(batch.number, Standing.FAILED, time.time_ns(), words)
            return
        paths = sorted(self._spool.results_of(batch.number).glob("*.dcm"))
        try:
            if not paths:
                raise OutputError("its results are gone")
            send_dicom(paths, node)
        except NeurosonoError as error:
            self._spool.postpone(batch.number, str(error), time.time_ns())
            return
        self._spool.note(batch.number, Standing.STORED, time.time_ns())


def main() -> int:
    """Work until standard input ends."""
    told = msgspec.json.decode(sys.stdin.buffer.readline())
    asked, folder = msgspec.convert(told["asked"], Judging), Path(told["folder"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    opened = open_bundle(asked.bundle)
    warm_up(opened, asked, folder / "warm")
    examiner = Examiner(opened, asked, folder / "journal.sqlite")
    give_back()
    with Spool(folder) as spool, examiner.open_journal() as journal:
        spool.recover(time.time_ns())
        (folder / READY).touch(mode=0o600)
        worker = Worker(spool, asked, examiner)
        while True:
            if not worker.step(journal):
                time.sleep(LOOK_S)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
