"""What the hospital hears of a node's work: of each study a step that begins, and how it ended.

A step waits in the outbox beside the journal, under the number of its batch; whose it is stands in
the batch's cines and results, which are kept until it is told.
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import Self

import pydicom
from pydicom.dataset import Dataset

from neurosono.engine.contracts.errors import NeurosonoError, OutputError
from neurosono.node.order import REQUEST, add_order, read_order
from neurosono.node.spool import BatchStanding, Spool
from neurosono.stream.hospital.charset import decode_text
from neurosono.stream.hospital.entry import ASKED, Entry
from neurosono.stream.hospital.errands import do_errand, tell_step
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.outbox import ErrandStanding, Outbox, Outcome, Row, Step

LOOK_S = 0.2
NUMBER = 1
"""A batch has one step, however often judging it is begun."""
_OUTCOMES = {
    BatchStanding.JUDGED: Outcome.COMPLETED,
    BatchStanding.STORED: Outcome.COMPLETED,
    BatchStanding.FAILED: Outcome.FAILED,
}


class Steps:
    """Tells a hospital's node of batches, on a thread of its own, so that nothing waits for it."""

    def __init__(self, spool: Spool, node: Node) -> None:
        """Go on with what was not told; raises `OutputError` where the outbox cannot be used."""
        self._spool, self._node = spool, node
        self._outbox = Outbox(spool.folder / "journal.sqlite")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steps", daemon=True)

    def begin(self, number: int) -> None:
        """A batch begins to be judged; one that a kill interrupted goes on as the step that it was.

        Raises `OutputError` where that cannot be written down.
        """
        name = str(number)
        known = self._outbox.find(name, NUMBER)
        if known is not None and isinstance(known.what, Step) and known.what.outcome is None:
            return
        self._outbox.drop(name)
        self._outbox.put(name, NUMBER, Step.begin(self._node, time.time_ns()))

    def look(self) -> None:
        """End the steps of what is judged, tell what is due, and let go of what is told.

        Raises `OutputError` where the queue cannot be read or written.
        """
        for row in self._outbox.list_open():
            self._end(row)
        for row in self._outbox.list_due():
            if row.standing is not ErrandStanding.BEGUN:  # the spool knows better than the clock
                do_errand(self._outbox, row, self._tell)
                self.let_go(int(row.exam_id))

    def let_go(self, number: int) -> None:
        """Delete the files of a batch once its results are stored and its step is told."""
        row = self._outbox.find(str(number), NUMBER)
        waits = row is not None and row.standing in (ErrandStanding.WAITING, ErrandStanding.BEGUN)
        if not waits and self._spool.read_standing(number) is BatchStanding.STORED:
            self._spool.forget_files(number)

    def __enter__(self) -> Self:
        for folder in self._spool.folder.glob("results/*"):
            if folder.name.isdecimal():
                self.let_go(int(folder.name))  # a kill may have come before
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._outbox.close()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            with contextlib.suppress(NeurosonoError):  # a full disk: the next look tries again
                self.look()

    def _end(self, row: Row) -> None:
        standing = self._spool.read_standing(int(row.exam_id))
        if standing is None:  # forgotten after --keep-days
            self._outbox.drop(row.exam_id)
        elif isinstance(row.what, Step) and row.what.outcome is None and standing in _OUTCOMES:
            ended = row.what.end(_OUTCOMES[standing], time.time_ns())
            self._outbox.put(row.exam_id, row.number, ended)

    def _tell(self, row: Row) -> None:
        number = int(row.exam_id)
        tell_step(
            self._outbox, row, lambda: self._read_whose(number), lambda: self._read_made(number)
        )

    def _read_whose(self, number: int) -> Entry | None:
        """Return patient and order as the cines name them; None where they are gone."""
        for folder in (self._spool.files_of(number), self._spool.results_of(number)):
            for path in sorted(folder.glob("*.dcm")):
                return add_order(_read_entry(path), read_order(folder))
        return None

    def _read_made(self, number: int) -> list[Dataset]:
        paths = sorted(self._spool.results_of(number).glob("*.dcm"))
        if not paths:
            raise OutputError("its results are gone")
        return [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]


def _read_entry(path: Path) -> Entry:
    """Return what a cine says of its patient and of the order that it was made for."""
    asked = [*ASKED, "StudyID", "StudyDescription", "SpecificCharacterSet", REQUEST]
    found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=asked)
    decode_text(found)
    request = (found.get(REQUEST) or [Dataset()])[0]
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
        if request.get(keyword):
            setattr(found, keyword, request.get(keyword))
    step = str(request.get("ScheduledProcedureStepID") or "")
    what = request.get("ScheduledProcedureStepDescription") or found.get("StudyDescription")
    return Entry(found, step, "", str(what or ""))
